/* refusal.h -- how a "no" is told, in each protocol's words.
 *
 * One table (refusal.c) maps why to codes and default texts, so that a
 * temporary failure can never be told as a wrong password. */
#pragma once

#include "base/types.h"

struct buf;
struct dialog;

enum reason {
    REASON_BAD_CREDENTIALS, /* wrong user or password */
    REASON_NOT_ALLOWED,     /* known, but may not in (no mailbox, tenant) */
    REASON_LIMIT,           /* too many, too fast */
    REASON_EXPIRED,         /* the password must be changed */
    REASON_TLS_REQUIRED,
    REASON_UNAVAILABLE, /* temporary failure: not the client's fault */
    REASON_SERVER_BUG,  /* misconfiguration here; will not mend itself */
    REASON_EARLY,       /* spoke before the SMTP greeting: last words */
    REASON_TOO_MANY,    /* attempts or errors used up: last words */
    REASON_TIMEOUT,     /* the login budget is over: last words */
    REASON_SHUTDOWN,    /* the gateway stops: last words */
    REASON_KICKED,      /* an operator ended the session: last words */
    REASON_CERTIFICATE, /* the client's is missing or bad: last words, those
                           of nginx */
    REASON_COUNT,
};

/* What is being refused; the codes differ. */
enum stage {
    STAGE_CONNECT, /* the connection, instead of a greeting */
    STAGE_COMMAND, /* a command before login (HELO, MAIL) */
    STAGE_LOGIN,   /* the login command with dialog->tag */
    STAGE_RCPT,    /* SMTP recipient */
};

/* Empty slices mean: the default of the table. */
struct refusal {
    enum reason reason;
    enum stage stage;
    struct slice text;     /* for humans; no CR, LF, NUL; <= 400 bytes */
    struct slice code;     /* SMTP: "535", or all of nginx's "535 5.7.0" */
    struct slice enhanced; /* SMTP: "5.7.8" */
    struct slice sasl;     /* failure JSON for OAUTHBEARER and XOAUTH2 */
    struct slice verbatim; /* the upstream's own reply, passed as it is: text
                              after the tag (IMAP) or whole lines */
};

/* The reason called `label` by policies ("bad-credentials", "not-allowed",
 * "limit", "rate-limited", "expired", "tls-required", "unavailable", ...).
 * An unknown label means NOT_ALLOWED: it is the policy's own word. */
enum reason reason_of_label(struct slice label);

/* The i-th label that is known; NULL behind the last. */
const char *reason_label_at(size_t i);

/* Default texts and codes of the table. */
struct slice refusal_text(const struct refusal *r);
struct slice refusal_imap_code(const struct refusal *r); /* "[UNAVAILABLE]" */
struct slice refusal_pop3_code(const struct refusal *r); /* "[SYS/TEMP]" */
/* "454 4.7.0", honouring `code` and `enhanced`; written to `out`. */
void refusal_smtp_code(const struct refusal *r, char out[32]);
