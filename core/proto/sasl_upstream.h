/* sasl_upstream.h -- what the gateway itself says in SASL, to an upstream. */
#pragma once

#include "base/types.h"

struct dialog;

/* Whether dialog->login holds nothing that could break out of a line of the
 * upstream dialogue.  Asked before the first byte of a login is written. */
bool login_is_sane(const struct dialog *d);

/* Whether there is a password to log in with.  CRAM-MD5, APOP and EXTERNAL
 * bring none: a policy has to. */
bool login_has_password(const struct dialog *d);

/* `bytes` in base64, in the arena; empty and FAULT_RESOURCES at the cap. */
struct slice sasl_encode(struct dialog *d, struct slice bytes);

/* The whole response of PLAIN for dialog->login, in base64, in the arena. */
struct slice sasl_encode_plain(struct dialog *d);
