#include "proto/redact.h"

#include "base/base64.h"
#include "base/slice.h"
#include "proto/dialog.h"

#include <stdio.h>

#define HIDDEN S("***")

#define TOKEN_BEGINNING 16 /* bytes that give a token away */

/* What is shown of a command's arguments. */
enum shown {
    SHOWN_ALL,
    SHOWN_FIRST, /* the mechanism, not what stands behind it */
    SHOWN_NONE,
};

struct word {
    const char *protocol, *name;
    enum shown arguments;
};

static const struct word words[] = {
    {"imap", "AUTHENTICATE", SHOWN_FIRST},
    {"imap", "CAPABILITY", SHOWN_NONE},
    {"imap", "ID", SHOWN_ALL},
    {"imap", "LOGIN", SHOWN_NONE},
    {"imap", "LOGOUT", SHOWN_NONE},
    {"imap", "NOOP", SHOWN_NONE},
    {"imap", "STARTTLS", SHOWN_NONE},
    {"pop3", "APOP", SHOWN_NONE},
    {"pop3", "AUTH", SHOWN_FIRST},
    {"pop3", "CAPA", SHOWN_NONE},
    {"pop3", "NOOP", SHOWN_NONE},
    {"pop3", "PASS", SHOWN_NONE},
    {"pop3", "QUIT", SHOWN_NONE},
    {"pop3", "STLS", SHOWN_NONE},
    {"pop3", "USER", SHOWN_ALL},
    {"pop3", "XCLIENT", SHOWN_ALL},
    {"pop3", "XOIP", SHOWN_ALL},
    {"smtp", "AUTH", SHOWN_FIRST},
    {"smtp", "BDAT", SHOWN_NONE},
    {"smtp", "EHLO", SHOWN_ALL},
    {"smtp", "HELO", SHOWN_ALL},
    {"smtp", "MAIL", SHOWN_ALL},
    {"smtp", "NOOP", SHOWN_NONE},
    {"smtp", "QUIT", SHOWN_NONE},
    {"smtp", "RCPT", SHOWN_ALL},
    {"smtp", "RSET", SHOWN_NONE},
    {"smtp", "STARTTLS", SHOWN_NONE},
    {"smtp", "XCLIENT", SHOWN_ALL},
};

static const struct word *
find_word(const char *protocol, struct slice name)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_equal(slice_of(words[i].protocol), slice_of(protocol)) &&
            slice_equal_nocase(slice_of(words[i].name), name))
            return &words[i];
    }
    return NULL;
}

static bool
holds_plain(struct slice text, struct slice hidden)
{
    return text.len >= hidden.len &&
           memmem(text.ptr, text.len, hidden.ptr, hidden.len) != NULL;
}

static bool
is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '=';
}

/* Whether the word is base64 of something that holds `hidden`.  One that is
 * very long, or was cut, is looked at as far as it goes. */
static bool
holds_encoded(struct slice word, struct slice hidden)
{
    char bytes[3 * CREDENTIAL_MAX];
    size_t len;

    word = slice_take(word, sizeof bytes / 3 * 4);
    word.len -= word.len % 4;
    if (word.len < hidden.len || !base64_decode(word, bytes, &len))
        return false;
    bool holds = holds_plain((struct slice){bytes, len}, hidden);
    explicit_bzero(bytes, sizeof bytes);
    return holds;
}

bool
redact_holds(struct slice text, struct slice hidden)
{
    if (hidden.len == 0 || text.len == 0)
        return false;
    if (holds_plain(text, hidden))
        return true;
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len && is_base64(text.ptr[end]))
            end++;
        if (holds_encoded((struct slice){text.ptr + i, end - i}, hidden))
            return true;
        i = end + 1;
    }
    return false;
}

bool
redact_holds_credentials(const struct dialog *d, struct slice text)
{
    struct slice given = d->credentials.password.bytes;
    struct slice sent = d->login.password.bytes;

    /* Of a token no part may be shown, however a peer has cut it. */
    if (mechanism_has_token(d->credentials.mechanism))
        given = slice_take(given, TOKEN_BEGINNING);
    if (d->login.token)
        sent = slice_take(sent, TOKEN_BEGINNING);
    return redact_holds(text, given) || redact_holds(text, sent);
}

static struct slice
write_text(char *out, size_t size, struct slice text)
{
    text = slice_take(text, size - 1);
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return (struct slice){out, text.len};
}

/* A mechanism of ours; any other word may be anything. */
static struct slice
mechanism_of(struct slice arguments)
{
    struct slice name = slice_cut(&arguments, ' ');
    enum mechanism m;

    return mechanism_find(name, &m) ? name : S("");
}

static struct slice
show_command(const struct dialog *d, struct slice line, char *out, size_t size)
{
    const char *protocol = d->proto->name;
    struct slice rest = line, tag = {0}, first = {0};

    if (slice_equal(slice_of(protocol), S("imap")))
        tag = slice_cut(&rest, ' ');
    struct slice name = slice_cut(&rest, ' ');
    const struct word *word = find_word(protocol, name);
    if (word == NULL || tag.len > TAG_MAX)
        return write_text(out, size, HIDDEN);
    if (rest.len == 0 || word->arguments == SHOWN_ALL)
        return write_text(out, size, line);
    if (word->arguments == SHOWN_FIRST)
        first = mechanism_of(rest);
    bool more = rest.len > first.len;
    int len = snprintf(out, size, "%.*s%s%s%s%.*s%s", (int)tag.len,
                       tag.len > 0 ? tag.ptr : "", tag.len > 0 ? " " : "",
                       word->name, first.len > 0 ? " " : "", (int)first.len,
                       first.len > 0 ? first.ptr : "", more ? " ***" : "");
    return slice_take((struct slice){out, (size_t)len}, size - 1);
}

/* What SCRAM's server says lets a password be guessed, as a stored verifier
 * does. */
static bool
is_of_scram(const struct dialog *d, struct slice line)
{
    return mechanism_is_scram(d->credentials.mechanism) &&
           (slice_has_prefix(line, S("+ ")) ||
            slice_has_prefix(line, S("334 ")));
}

/* The tag of a command that was not understood may have been a response that
 * came too late. */
static struct slice
show_reply(const struct dialog *d, struct slice line, char *out, size_t size)
{
    struct slice rest = line, tag = slice_cut(&rest, ' ');

    if (is_of_scram(d, line) && rest.len > 0) {
        int len = snprintf(out, size, "%.*s ***", (int)tag.len, tag.ptr);
        return slice_take((struct slice){out, (size_t)len}, size - 1);
    }
    if (slice_equal(slice_of(d->proto->name), S("imap")) &&
        !slice_equal(tag, S("*")) && !slice_equal(tag, S("+")) &&
        slice_has_prefix(rest, S("BAD"))) {
        int len = snprintf(out, size, "*** %.*s", (int)rest.len, rest.ptr);
        return slice_take((struct slice){out, (size_t)len}, size - 1);
    }
    return write_text(out, size, line);
}

struct slice
redact_line(const struct dialog *d, enum speaker who, struct slice line,
            char *out, size_t size)
{
    struct slice rest = line, shown;

    line = slice_cut(&rest, '\n'); /* literals are nobody's business */
    (void)slice_drop_suffix(&line, S("\r"));
    if (who == SPEAKER_CLIENT_RESPONSE)
        return write_text(out, size, HIDDEN);
    if (who == SPEAKER_CLIENT || who == SPEAKER_GATEWAY_UPSTREAM)
        shown = show_command(d, line, out, size);
    else
        shown = show_reply(d, line, out, size);
    return redact_holds_credentials(d, shown) ? write_text(out, size, HIDDEN)
                                              : shown;
}
