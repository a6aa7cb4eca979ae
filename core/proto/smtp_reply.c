#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/smtp.h"

#define LINES_MAX 128 /* of one reply */
#define CODE_LEN  3

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "250-text", "250 text", or "250" alone, which some servers send. */
static bool
has_code(struct slice line)
{
    return line.len >= CODE_LEN && line.ptr[0] >= '2' && line.ptr[0] <= '5' &&
           is_digit(line.ptr[1]) && is_digit(line.ptr[2]) &&
           (line.len == CODE_LEN || line.ptr[3] == ' ' || line.ptr[3] == '-');
}

static bool
has_more(struct slice line)
{
    return line.len > CODE_LEN && line.ptr[CODE_LEN] == '-';
}

/* All lines but the last say that more follow, and carry the same code. */
enum parse
smtp_frame_reply(struct dialog *d, struct slice in, struct slice *reply)
{
    size_t max = d->settings->reply_max;
    struct framer *f = &d->reply_framer;

    for (;;) {
        struct slice rest = slice_drop(in, f->seen);
        size_t at = slice_find(rest, '\n');
        if (at == rest.len)
            return in.len < max ? PARSE_MORE : PARSE_BAD;
        f->seen += at + 1;
        if (f->seen > max || ++f->lines > LINES_MAX)
            return PARSE_BAD;

        struct slice line = line_text(slice_take(rest, at + 1));
        if (!has_code(line) || memcmp(line.ptr, in.ptr, CODE_LEN) != 0)
            return PARSE_BAD;
        if (has_more(line))
            continue;
        *reply = slice_take(in, f->seen);
        *f = (struct framer){0};
        return PARSE_DONE;
    }
}

unsigned
smtp_reply_code(struct slice reply)
{
    return (unsigned)slice_to_size(slice_take(reply, CODE_LEN));
}

bool
smtp_reply_next(struct slice *reply, struct slice *text)
{
    if (reply->len == 0)
        return false;
    *text = slice_drop(line_text(slice_cut(reply, '\n')), 4);
    return true;
}

enum reason
smtp_reply_reason(unsigned code)
{
    if (code == 432)
        return REASON_EXPIRED; /* RFC 4954: a password transition is needed */
    if (code < 500)
        return REASON_UNAVAILABLE;
    if (code < 510 || code == 534 || code == 538)
        return REASON_SERVER_BUG; /* it does not understand us, or wants TLS */
    if (code == 535)
        return REASON_BAD_CREDENTIALS;
    return REASON_NOT_ALLOWED;
}
