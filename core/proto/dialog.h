/* dialog.h -- all that the two protocol halves know of one login.
 *
 * Lives from accept to SPLICE in the session's arena; everything a slice here
 * points to is in that arena too.  The session sets the first group before
 * the first call; the client half fills `credentials` and `envelope`; the
 * session fills `login` before the upstream half runs. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/types.h"
#include "proto/capabilities.h"
#include "proto/identity.h"
#include "proto/proto.h"
#include "proto/refusal.h"
#include "proto/sasl.h"

#define TAG_MAX        32
#define HELO_MAX       255
#define CREDENTIAL_MAX 1024 /* bytes of a user name or a password */

/* Settings of one listener, constant while any session uses them. */
struct proto_settings {
    struct slice server_name;  /* in greetings, EHLO, CRAM-MD5 and APOP */
    struct slice greeting;     /* replaces the default text; empty: default */
    struct slice capabilities; /* space-separated (SMTP: newline-separated)
                                  list that replaces what is computed; ptr
                                  NULL: compute.  POP3: either */
    unsigned mechanisms;       /* set of MECHANISM_BIT: those enabled */
    bool unlisted_plain;       /* PLAIN and LOGIN are taken all the same */
    bool no_auth;              /* SMTP `none`: MAIL and RCPT without AUTH */
    size_t command_max;        /* longest command with literals, bytes */
    size_t literal_max;        /* longest literal, bytes */
    size_t reply_max;          /* longest upstream reply, bytes */
    bool starttls;             /* a certificate is there: offer STARTTLS */
    bool tls_required;         /* no credentials in clear */
    bool tokens_in_clear;      /* tokens also without TLS */
    bool ask_helo, ask_mail;   /* a policy has that hook */
    bool ask_verifier;         /* and that one: SCRAM can be offered */
    enum forward forward;      /* upstreams are told who the client is */
    bool xoip;                 /* POP3: by XOIP, asked for or not */
    bool pass_error_message;   /* upstream refusals go out verbatim */
    bool pass_capabilities;    /* reconcile after login (not for imports) */
    bool as_nginx;             /* refusals in its words: no response codes */
};

#define MECHANISM_BIT(m) (1u << (m))

struct credentials {
    enum mechanism mechanism;
    struct slice user;      /* "" for EXTERNAL without an identity */
    struct slice authzid;   /* SASL PLAIN authorization identity, or "" */
    struct secret password; /* PLAIN, LOGIN; the token of OAUTHBEARER */
    struct slice response;  /* CRAM-MD5, APOP: 32 hex digits */
};

/* SMTP transaction before the login, as it was received. */
struct envelope {
    struct slice helo; /* argument of EHLO or HELO; points to helo_text */
    bool ehlo;         /* EHLO, not HELO */
    bool greeted;      /* either was given */
    struct slice mail; /* the whole MAIL command without CRLF */
    struct slice rcpt; /* the whole RCPT command without CRLF */
    struct arena_mark rcpt_mark; /* where the arena stood before it */
    char helo_text[HELO_MAX + 1];
};

/* How the gateway logs in upstream. */
struct login {
    struct slice user;
    struct secret password;
    struct slice authzid;
    enum mechanism mechanism; /* MECHANISM_NONE: as the upstream offers */
    bool token;               /* the password is a token */
    bool none;                /* no AUTH: the connection itself is trusted */
    enum forward forward;     /* tell who the client is */
    bool pass_error_message;  /* refusals go to the client verbatim */
};

/* Why ASK_CLOSE. */
enum fault {
    FAULT_NONE,
    FAULT_QUIT,        /* LOGOUT, QUIT: answered */
    FAULT_ABUSE,       /* an HTTP request and the like: no answer */
    FAULT_GARBAGE,     /* upstream: not a reply of this protocol */
    FAULT_GREETING,    /* upstream greeted with BYE, -ERR, 4xx, 5xx */
    FAULT_PREAUTH,     /* upstream is logged in already */
    FAULT_BYE,         /* upstream said BYE or 421 during login */
    FAULT_NO_LOGIN,    /* upstream offers no way to log in (LOGINDISABLED,
                           no common mechanism): nothing was sent */
    FAULT_NO_STARTTLS, /* upstream does not offer the STARTTLS we need */
    FAULT_RESOURCES,   /* arena or buffer cap reached */
};

/* The upstream's "no". */
struct reply {
    enum reason reason; /* what it means for the client */
    struct slice text;  /* the reply without tag and CRLF, in the arena */
    struct slice sasl;  /* its JSON about a token, or "" */
};

/* Resumable position in the bytes being framed. */
struct framer {
    size_t seen;
    size_t lines; /* SMTP: of a reply, so far */
};

/* A line of the upstream that the client gets once the login is a success. */
struct held {
    struct held *next;
    struct slice line; /* without its CRLF */
};

struct dialog {
    /* Set by the session. */
    const struct proto *proto;
    const struct proto_settings *settings;
    struct arena *arena;
    struct buf *to_client;
    struct buf *to_upstream;
    struct capabilities *learnt;
    unsigned mechanisms; /* set offered now: settings and `mechanisms` hook */
    bool certified;      /* and has a certificate that was verified */
    bool secure;         /* the client is on TLS */
    bool peer_trusted;   /* it may tell who the client is */
    struct slice tls_exporter; /* channel bindings (stream_tls_bindings), */
    struct slice tls_unique;   /* or "" */
    struct slice salt;         /* "<123.456@host>" of CRAM-MD5 and APOP, if
                                  `mechanisms` has one of these */
    struct refusal refusal;    /* for SAY_REFUSAL and SAY_BYE */

    /* Filled by the client half. */
    struct credentials credentials;
    struct envelope envelope;
    struct sasl sasl;
    struct scram *scram; /* an exchange under way, or NULL */
    struct framer command_framer;
    unsigned errors; /* commands answered with an error so far */
    enum fault fault;
    char tag_text[TAG_MAX];
    struct slice tag;      /* IMAP tag of the command being answered */
    unsigned client_state; /* protocol's own enum */
    size_t skip; /* SMTP: octets of a refused BDAT still to be dropped */
    bool asked_capabilities;     /* IMAP: client issued CAPABILITY by itself */
    bool downgraded;             /* SCRAM: a binding was kept from the client */
    struct slice client_id;      /* IMAP ID parameters, as sent, or "" */
    struct client_identity told; /* by a trusted peer; in the arena */
    struct arena_mark base_mark; /* rewound to by dialog_forget */
    bool has_base_mark;

    /* For the upstream half. */
    bool upstream_starttls; /* nothing is told before ASK_STARTTLS was done */
    bool probing; /* no login: learn what is offered, take leave, and return
                     ASK_CLOSE with FAULT_QUIT */
    struct login login;
    struct client_identity identity; /* what the upstream may be told, */
    enum forward forward;            /* and when */
    struct framer reply_framer;
    unsigned upstream_state;
    unsigned upstream_offers;          /* protocol's own bits */
    enum mechanism upstream_mechanism; /* in which it is being logged in at */
    unsigned upstream_mechanisms; /* set of MECHANISM_BIT: of the token ones */
    struct slice upstream_capabilities; /* as received, in the arena */
    struct held *upstream_held;         /* newest first, in the arena */
    struct reply reply;
};

/* Prepares `d`, whose first group is set and whose rest is zero, for its first
 * use. */
void dialog_init(struct dialog *d);

/* A login attempt begins, unless one is under way: what the arena gets from
 * here on is given back by dialog_forget.  dialog_keep and SASL do it. */
void dialog_begin_attempt(struct dialog *d);

/* Wipes and forgets one login attempt: credentials, SASL, envelope but HELO.
 * The arena goes back to where it stood when the attempt began.  An attempt
 * that was about a recipient ends with it: MAIL stays for the next RCPT. */
void dialog_forget(struct dialog *d);

/* Also forgets HELO and all that was said in clear (after STARTTLS). */
void dialog_restart(struct dialog *d);

/* Gets ready for another upstream with the same credentials. */
void dialog_restart_upstream(struct dialog *d);

/* Whether `m` may be used now, and clients hear so. */
bool dialog_offers(const struct dialog *d, enum mechanism m);

/* Whether `m` may be used now; perhaps nobody is told. */
bool dialog_takes(const struct dialog *d, enum mechanism m);

/* The same for a command that has the password in it: LOGIN, USER. */
bool dialog_takes_passwords(const struct dialog *d);

/* Appends to the client's or the upstream's buffer; at the cap the fault
 * becomes FAULT_RESOURCES, which the session sees after each call. */
void dialog_tell_client(struct dialog *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void dialog_tell_upstream(struct dialog *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void dialog_put_client(struct dialog *d, struct slice bytes);
void dialog_put_upstream(struct dialog *d, struct slice bytes);
/* A line, in two parts and with its CRLF: all of it or nothing. */
void dialog_say_line(struct dialog *d, struct slice head, struct slice rest);
void dialog_send_line(struct dialog *d, struct slice head, struct slice rest);
/* To the upstream, as a quoted string (RFC 3501 4.3). */
void dialog_put_quoted(struct dialog *d, struct slice text);

/* Copies to the arena; empty and FAULT_RESOURCES at the cap. */
struct slice dialog_keep(struct dialog *d, struct slice bytes);

/* CR, LF, NUL or another control character: never goes upstream. */
bool has_control(struct slice bytes);
