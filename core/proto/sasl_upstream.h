/* sasl_upstream.h -- what the gateway itself says in SASL, to an upstream. */
#pragma once

#include "base/types.h"
#include "proto/sasl.h"

struct dialog;

/* Whether dialog->login holds nothing that could break out of a line of the
 * upstream dialogue.  Asked before the first byte of a login is written. */
bool login_is_sane(const struct dialog *d);

/* Whether there is a password to log in with, or none is needed.  CRAM-MD5,
 * APOP, EXTERNAL and SCRAM of a client bring none: a policy has to. */
bool login_has_password(const struct dialog *d);

/* `bytes` in base64, in the arena; empty and FAULT_RESOURCES at the cap. */
struct slice sasl_encode(struct dialog *d, struct slice bytes);

/* The response of EXTERNAL: the identity to act as, in base64, in the arena;
 * empty when the certificate alone says it. */
struct slice sasl_encode_external(struct dialog *d);

/* The response of CRAM-MD5 to `challenge`, which is base64 as it came.  Empty
 * if the challenge is nonsense. */
struct slice sasl_encode_cram_md5(struct dialog *d, struct slice challenge);

/* The whole response of PLAIN for dialog->login, in base64, in the arena. */
struct slice sasl_encode_plain(struct dialog *d);

/* Whether dialog->login is told by OAUTHBEARER or XOAUTH2: it holds a token, and
 * no policy wants that told as a password. */
bool login_tells_token(const struct dialog *d);

/* How dialog->login's token is told, or MECHANISM_NONE if the upstream takes
 * none: as the policy wants it, else as the client said it, else as the
 * upstream offers.  `offered` is a set of MECHANISM_BIT; where it is not known,
 * 0. */
enum mechanism sasl_token_mechanism(const struct dialog *d, unsigned offered,
                                    bool known);

/* The response of OAUTHBEARER or XOAUTH2, in base64, in the arena. */
struct slice sasl_encode_token(struct dialog *d, enum mechanism m);

/* The upstream refuses the token, and says why (base64, as it came): that is
 * kept in dialog->reply, if it can be told on.  Returns the response that it
 * waits for. */
struct slice sasl_note_denial(struct dialog *d, enum mechanism m,
                              struct slice challenge);
