/* sasl.h -- SASL towards the client (RFC 4422): one exchange, any protocol.
 *
 * The protocol halves carry the lines ("AUTHENTICATE", "334 ", "+ ");
 * what is inside them is the same for all three and lives here. */
#pragma once

#include "base/types.h"
#include "proto/scram_verifier.h"

struct dialog;

enum mechanism {
    MECHANISM_NONE,  /* SMTP without AUTH: asked about a recipient */
    MECHANISM_PLAIN, /* also LOGIN commands and USER/PASS, as in auth_http */
    MECHANISM_LOGIN,
    MECHANISM_CRAM_MD5,
    MECHANISM_APOP,
    MECHANISM_EXTERNAL,
    MECHANISM_OAUTHBEARER,
    MECHANISM_XOAUTH2,
    MECHANISM_SCRAM_SHA_1,
    MECHANISM_SCRAM_SHA_1_PLUS,
    MECHANISM_SCRAM_SHA_256,
    MECHANISM_SCRAM_SHA_256_PLUS,
    MECHANISM_COUNT,
};

enum sasl_step {
    SASL_CHALLENGE, /* send *challenge (base64 already), read a response */
    SASL_DONE,      /* dialog->credentials is complete */
    SASL_DENIED,    /* the client knows why it is refused: say the refusal */
    SASL_CANCELLED, /* the client sent "*" */
    SASL_BAD,       /* not base64, or not what the mechanism says */
    SASL_VERIFIER,  /* SCRAM: sasl_verify goes on */
    SASL_WRONG,     /* SCRAM: the client does not know the password */
};

/* Where an exchange stands.  Zero when there is none. */
struct sasl {
    enum mechanism mechanism;
    unsigned step;
    bool active;            /* the next line is a response, not a command */
    bool denying;           /* and one to why the token was refused */
    struct slice challenge; /* of sasl_verify */
};

/* The name on the wire: "PLAIN", "CRAM-MD5".  Never NULL. */
const char *mechanism_name(enum mechanism m);

/* The mechanism that `name` means, in any case; false if unknown.  APOP and
 * NONE are no SASL mechanisms and are never found. */
bool mechanism_find(struct slice name, enum mechanism *m);

/* Whether the client logs in with a token: OAUTHBEARER, XOAUTH2. */
bool mechanism_has_token(enum mechanism m);

/* SCRAM, with a channel binding (-PLUS) or without. */
bool mechanism_is_scram(enum mechanism m);
bool mechanism_is_bound(enum mechanism m);

/* Whose verifiers it wants; of SCRAM only. */
enum scram_hash mechanism_hash(enum mechanism m);

/* The longest line that the client may send now: the listener's limit, or what
 * a token needs where one may come.  `command` is what has come of the line,
 * without IMAP's tag. */
size_t sasl_line_max(const struct dialog *d, struct slice command);

/* Frames a command that is one line, no longer than that. */
enum parse sasl_line_frame(struct dialog *d, struct slice in,
                           struct slice *line);

/* Begins `m` on `d`; `initial` is the initial response as it came ("=" means
 * empty), or has ptr NULL when there was none.  The caller has checked that
 * dialog_offers(d, m).  On SASL_CHALLENGE `*challenge` is base64 text in the
 * arena, possibly empty. */
enum sasl_step sasl_begin(struct dialog *d, enum mechanism m,
                          struct slice initial, struct slice *challenge);

/* No longer than CREDENTIAL_MAX, and no control character: what may be a user
 * name or a password, whichever way it came in. */
bool credential_is_sane(struct slice bytes);

/* The 32 hex digits of an MD5, as CRAM-MD5 and APOP send it. */
bool digest_is_hex(struct slice digest);

/* RFC 7628 3.2.2: the challenge, in base64, that tells why the token was
 * refused: dialog->refusal.sasl or what the mechanism says by default.  Whatever
 * the client answers leads to SASL_DENIED. */
struct slice sasl_deny(struct dialog *d);

/* After SASL_VERIFIER: `v`, of the mechanism's hash, is of the user.  Puts what
 * the client is told into dialog->sasl.challenge; false if that can't be, which
 * says nothing about the client. */
bool sasl_verify(struct dialog *d, const struct scram_verifier *v);

/* Takes the client's next line, without its CRLF.  After SASL_CANCELLED and
 * SASL_BAD the exchange is over; the caller says so and dialog_forgets. */
enum sasl_step sasl_respond(struct dialog *d, struct slice line,
                            struct slice *challenge);
