#include "proto/http_reply.h"

#include "base/slice.h"

#define CHUNK_LINE_MAX 256

static bool
is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static struct slice
trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_drop(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts off one line; the CR before its LF goes too. */
static struct slice
cut_line(struct slice *in)
{
    struct slice line = slice_cut(in, '\n');

    (void)slice_drop_suffix(&line, S("\r"));
    return line;
}

/* The bytes up to and with the empty line, or 0 while it has not come. */
static size_t
find_end(struct http_head *head, struct slice in)
{
    while (head->seen < in.len) {
        size_t at = head->seen + slice_find(slice_drop(in, head->seen), '\n');
        if (at == in.len)
            return 0;
        struct slice next = slice_drop(in, at + 1);
        if (slice_has_prefix(next, S("\n")))
            return at + 2;
        if (slice_has_prefix(next, S("\r\n")))
            return at + 3;
        if (next.len == 0 || slice_equal(next, S("\r")))
            return 0;
        head->seen = at + 1;
    }
    return 0;
}

/* HTTP/1.1 200 OK */
static bool
parse_status(struct slice line, struct http_reply *reply)
{
    if (line.len < 12 || !slice_has_prefix(line, S("HTTP/1.")))
        return false;
    if (line.ptr[7] != '0' && line.ptr[7] != '1')
        return false;
    struct slice digits = slice_take(slice_drop(line, 9), 3);
    if (line.ptr[8] != ' ' || !all_digits(digits))
        return false;
    if (line.len > 12 && line.ptr[12] != ' ')
        return false;
    reply->minor = (unsigned)(line.ptr[7] - '0');
    reply->status = (unsigned)slice_to_size(digits);
    return reply->status >= 100 && reply->status <= 599;
}

static bool
is_clean(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool
parse_field(struct slice line, struct http_field *field)
{
    size_t colon = slice_find(line, ':');

    if (colon == 0 || colon == line.len)
        return false;
    for (size_t i = 0; i < colon; i++) {
        if (!is_token(line.ptr[i]))
            return false;
    }
    field->name = slice_take(line, colon);
    field->value = trim(slice_drop(line, colon + 1));
    return is_clean(field->value);
}

/* Whether a comma-separated list has `word` in it. */
static bool
list_has(struct slice list, struct slice word)
{
    while (list.len > 0) {
        if (slice_equal_nocase(trim(slice_cut(&list, ',')), word))
            return true;
    }
    return false;
}

static void
find_keep_alive(struct http_reply *reply)
{
    bool close = false, keep = reply->minor >= 1;

    for (size_t i = 0; i < reply->field_count; i++) {
        const struct http_field *f = &reply->fields[i];
        if (!slice_equal_nocase(f->name, S("Connection")))
            continue;
        close = close || list_has(f->value, S("close"));
        keep = keep || list_has(f->value, S("keep-alive"));
    }
    reply->keep_alive = keep && !close;
}

static bool
find_framing(struct http_reply *reply)
{
    size_t lengths, codings;
    struct slice length =
        http_reply_field(reply, S("Content-Length"), &lengths);
    struct slice coding =
        http_reply_field(reply, S("Transfer-Encoding"), &codings);

    if (lengths + codings > 1)
        return false;
    if (codings == 1) {
        reply->framing = HTTP_BODY_CHUNKED;
        if (reply->minor == 0 || !slice_equal_nocase(coding, S("chunked")))
            return false;
    } else if (lengths == 1) {
        reply->framing = HTTP_BODY_LENGTH;
        reply->length = slice_to_size(length);
        if (!all_digits(length) || reply->length == SIZE_MAX)
            return false;
    } else {
        reply->framing = HTTP_BODY_UNTIL_CLOSE;
    }
    if (reply->status < 200 || reply->status == 204 || reply->status == 304)
        reply->framing = HTTP_BODY_NONE;
    if (reply->framing == HTTP_BODY_UNTIL_CLOSE)
        reply->keep_alive = false;
    return true;
}

static bool
parse_head(struct slice head, struct http_reply *reply)
{
    reply->field_count = 0;
    reply->length = 0;
    if (!parse_status(cut_line(&head), reply))
        return false;
    for (;;) {
        struct slice line = cut_line(&head);
        if (line.len == 0)
            break;
        if (reply->field_count == HTTP_FIELDS_MAX)
            return false;
        if (!parse_field(line, &reply->fields[reply->field_count++]))
            return false;
    }
    find_keep_alive(reply);
    return find_framing(reply);
}

/* A beginning that no answer has is bad at once, not after 16 KiB. */
static bool
may_begin(struct slice in)
{
    struct slice magic = slice_take(S("HTTP/1."), in.len);

    return slice_has_prefix(in, magic);
}

enum parse
http_reply_parse(struct http_head *head, struct slice in,
                 struct http_reply *reply)
{
    size_t end = find_end(head, slice_take(in, HTTP_HEAD_MAX));

    if (!may_begin(in))
        return PARSE_BAD;
    if (end == 0)
        return in.len >= HTTP_HEAD_MAX ? PARSE_BAD : PARSE_MORE;
    reply->head_len = end;
    return parse_head(slice_take(in, end), reply) ? PARSE_DONE : PARSE_BAD;
}

struct slice
http_reply_field(const struct http_reply *reply, struct slice name,
                 size_t *count)
{
    struct slice value = {"", 0};

    *count = 0;
    for (size_t i = 0; i < reply->field_count; i++) {
        if (!slice_equal_nocase(reply->fields[i].name, name))
            continue;
        value = reply->fields[i].value;
        ++*count;
    }
    return value;
}

enum chunk_step {
    CHUNK_SIZE,      /* hexadecimal digits */
    CHUNK_EXTENSION, /* the rest of their line */
    CHUNK_DATA,
    CHUNK_END,     /* CRLF behind the data */
    CHUNK_TRAILER, /* lines after the last chunk */
};

void
http_body_begin(struct http_body *b, const struct http_reply *reply)
{
    *b = (struct http_body){.framing = reply->framing, .left = reply->length};
}

static int
hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
chunk_line_ended(struct http_body *b)
{
    b->step = b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    b->digits = 0;
    b->line = 0;
}

static enum parse
chunk_size_byte(struct http_body *b, char c)
{
    int value = hex_value(c);

    if (value >= 0) {
        b->left = b->left * 16 + (size_t)value;
        return ++b->digits > 8 ? PARSE_BAD : PARSE_MORE;
    }
    if (b->digits == 0)
        return PARSE_BAD;
    if (c == '\n')
        chunk_line_ended(b);
    else if (c == ';' || c == ' ' || c == '\r')
        b->step = CHUNK_EXTENSION;
    else
        return PARSE_BAD;
    return PARSE_MORE;
}

/* Lines that nobody needs, up to an empty one. */
static enum parse
trailer_byte(struct http_body *b, char c)
{
    if (c == '\r')
        return PARSE_MORE;
    if (c != '\n')
        return ++b->line > CHUNK_LINE_MAX ? PARSE_BAD : PARSE_MORE;
    bool empty = b->line == 0;
    b->line = 0;
    return empty ? PARSE_DONE : PARSE_MORE;
}

/* Anything but data: one byte at a time. */
static enum parse
chunk_byte(struct http_body *b, char c)
{
    switch (b->step) {
    case CHUNK_SIZE:
        return chunk_size_byte(b, c);
    case CHUNK_EXTENSION:
        if (c != '\n')
            return ++b->line > CHUNK_LINE_MAX ? PARSE_BAD : PARSE_MORE;
        chunk_line_ended(b);
        return PARSE_MORE;
    case CHUNK_END:
        if (c == '\n')
            b->step = CHUNK_SIZE;
        return c == '\n' || c == '\r' ? PARSE_MORE : PARSE_BAD;
    default:
        return trailer_byte(b, c);
    }
}

static enum parse
skip_chunks(struct http_body *b, struct slice in, size_t *used)
{
    while (*used < in.len) {
        if (b->step == CHUNK_DATA) {
            size_t n = in.len - *used < b->left ? in.len - *used : b->left;
            *used += n;
            b->left -= n;
            if (b->left == 0)
                b->step = CHUNK_END;
            continue;
        }
        enum parse p = chunk_byte(b, in.ptr[(*used)++]);
        if (p != PARSE_MORE)
            return p;
    }
    return PARSE_MORE;
}

enum parse
http_body_skip(struct http_body *b, struct slice in, size_t *used)
{
    *used = 0;
    switch (b->framing) {
    case HTTP_BODY_NONE:
        return PARSE_DONE;
    case HTTP_BODY_CHUNKED:
        return skip_chunks(b, in, used);
    case HTTP_BODY_LENGTH:
        *used = in.len < b->left ? in.len : b->left;
        b->left -= *used;
        return b->left == 0 ? PARSE_DONE : PARSE_MORE;
    case HTTP_BODY_UNTIL_CLOSE:
        *used = in.len;
        return PARSE_MORE;
    }
    return PARSE_BAD;
}
