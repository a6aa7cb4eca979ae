#include "proto/refusal.h"

#include "base/slice.h"

#include <stdio.h>

struct words {
    const char *text;
    const char *imap;
    const char *pop3;
    const char *login;   /* SMTP, answering AUTH */
    const char *connect; /* SMTP, instead of or after a greeting */
    const char *command; /* SMTP, answering HELO or MAIL */
    const char *rcpt;    /* SMTP, answering RCPT */
};

static const struct words table[REASON_COUNT] = {
    [REASON_BAD_CREDENTIALS] = {"Authentication failed",
                                "[AUTHENTICATIONFAILED]", "[AUTH]", "535 5.7.8",
                                "554 5.7.1", "530 5.7.0", "550 5.7.1"},
    [REASON_NOT_ALLOWED] = {"Access denied", "[AUTHORIZATIONFAILED]", "[AUTH]",
                            "535 5.7.0", "554 5.7.1", "550 5.7.1", "550 5.7.1"},
    [REASON_LIMIT] = {"Too many connections or attempts, try again later",
                      "[LIMIT]", "[IN-USE]", "454 4.7.0", "421 4.7.0",
                      "451 4.7.1", "451 4.7.1"},
    [REASON_EXPIRED] = {"Password has expired", "[EXPIRED]", "[AUTH]",
                        "535 5.7.8", "554 5.7.1", "550 5.7.1", "550 5.7.1"},
    [REASON_TLS_REQUIRED] = {"TLS is required to log in", "[PRIVACYREQUIRED]",
                             "", "538 5.7.11", "554 5.7.0", "530 5.7.0",
                             "530 5.7.0"},
    [REASON_UNAVAILABLE] = {"Temporary failure, try again later",
                            "[UNAVAILABLE]", "[SYS/TEMP]", "454 4.7.0",
                            "421 4.3.0", "451 4.3.0", "451 4.3.0"},
    [REASON_SERVER_BUG] = {"Internal error, please tell the administrator",
                           "[SERVERBUG]", "[SYS/PERM]", "454 4.7.0",
                           "421 4.3.5", "451 4.3.5", "451 4.3.5"},
    [REASON_EARLY] = {"Improper use of SMTP command pipelining", "", "",
                      "503 5.5.0", "503 5.5.0", "503 5.5.0", "503 5.5.0"},
    [REASON_TOO_MANY] = {"Too many errors", "", "", "421 4.7.0", "421 4.7.0",
                         "421 4.7.0", "421 4.7.0"},
    [REASON_TIMEOUT] = {"Timed out waiting for a login", "", "", "421 4.4.2",
                        "421 4.4.2", "421 4.4.2", "421 4.4.2"},
    [REASON_SHUTDOWN] = {"Server is shutting down, try again later",
                         "[UNAVAILABLE]", "[SYS/TEMP]", "421 4.3.2",
                         "421 4.3.2", "421 4.3.2", "421 4.3.2"},
    [REASON_KICKED] = {"Disconnected by the administrator", "", "[SYS/TEMP]",
                       "421 4.3.2", "421 4.3.2", "421 4.3.2", "421 4.3.2"},
    [REASON_CERTIFICATE] = {"SSL certificate error", "", "", "421 4.7.1",
                            "421 4.7.1", "421 4.7.1", "421 4.7.1"},
};

static const struct {
    const char *label;
    enum reason reason;
} labels[] = {
    {"", REASON_BAD_CREDENTIALS},
    {"bad-credentials", REASON_BAD_CREDENTIALS},
    {"invalid-token", REASON_BAD_CREDENTIALS},
    {"not-allowed", REASON_NOT_ALLOWED},
    {"limit", REASON_LIMIT},
    {"rate-limited", REASON_LIMIT},
    {"too-many-sessions", REASON_LIMIT},
    {"expired", REASON_EXPIRED},
    {"tls-required", REASON_TLS_REQUIRED},
    {"unavailable", REASON_UNAVAILABLE},
    {"server-bug", REASON_SERVER_BUG},
    {"too-many", REASON_TOO_MANY},
    {"timeout", REASON_TIMEOUT},
    {"shutdown", REASON_SHUTDOWN},
};

enum reason
reason_of_label(struct slice label)
{
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (slice_equal(label, slice_of(labels[i].label)))
            return labels[i].reason;
    }
    return REASON_NOT_ALLOWED;
}

const char *
reason_label_at(size_t i)
{
    return i < sizeof labels / sizeof labels[0] ? labels[i].label : NULL;
}

/* A reason that is none tells nothing but that it is our fault. */
static const struct words *
words_of(const struct refusal *r)
{
    return &table[r->reason < REASON_COUNT ? r->reason : REASON_SERVER_BUG];
}

struct slice
refusal_text(const struct refusal *r)
{
    return r->text.len > 0 ? r->text : slice_of(words_of(r)->text);
}

struct slice
refusal_imap_code(const struct refusal *r)
{
    return slice_of(words_of(r)->imap);
}

struct slice
refusal_pop3_code(const struct refusal *r)
{
    return slice_of(words_of(r)->pop3);
}

static const char *
default_smtp_code(const struct refusal *r)
{
    switch (r->stage) {
    case STAGE_CONNECT:
        return words_of(r)->connect;
    case STAGE_COMMAND:
        return words_of(r)->command;
    case STAGE_RCPT:
        return words_of(r)->rcpt;
    case STAGE_LOGIN:
        break;
    }
    return words_of(r)->login;
}

/* "4yz" or "5yz", alone or with more behind a space; printable. */
static bool
is_smtp_code(struct slice code)
{
    if (code.len < 3 || (code.ptr[0] != '4' && code.ptr[0] != '5') ||
        (code.len > 3 && code.ptr[3] != ' '))
        return false;
    for (size_t i = 0; i < code.len; i++) {
        bool is_digit = code.ptr[i] >= '0' && code.ptr[i] <= '9';
        if (i < 3 ? !is_digit : code.ptr[i] < ' ' || code.ptr[i] > '~')
            return false;
    }
    return true;
}

/* "5.7.8" for a reply that begins with `class`. */
static bool
is_enhanced_code(struct slice enhanced, char class)
{
    size_t dots = 0;

    if (enhanced.len < 5 || enhanced.ptr[0] != class || enhanced.ptr[1] != '.')
        return false;
    for (size_t i = 0; i < enhanced.len; i++) {
        char c = enhanced.ptr[i];
        dots += c == '.';
        if (c != '.' && !(c >= '0' && c <= '9'))
            return false;
    }
    return dots == 2;
}

void
refusal_smtp_code(const struct refusal *r, char out[32])
{
    struct slice standard = slice_of(default_smtp_code(r));
    struct slice code = is_smtp_code(r->code) ? r->code : standard;

    if (code.len > 3 && code.ptr != standard.ptr) {
        (void)snprintf(out, 32, "%.*s", (int)slice_take(code, 31).len,
                       code.ptr);
        return;
    }
    struct slice enhanced = slice_drop(standard, 4);
    if (is_enhanced_code(r->enhanced, code.ptr[0]) && r->enhanced.len <= 12)
        enhanced = r->enhanced;
    else if (enhanced.ptr[0] != code.ptr[0])
        enhanced = code.ptr[0] == '4' ? S("4.7.0") : S("5.7.0");
    (void)snprintf(out, 32, "%.3s %.*s", code.ptr, (int)enhanced.len,
                   enhanced.ptr);
}
