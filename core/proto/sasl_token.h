/* sasl_token.h -- what a client says in OAUTHBEARER (RFC 7628) and XOAUTH2:
 *
 *     n,a=user,^Ahost=mail.example^Aport=143^Aauth=Bearer token^A^A
 *     user=user^Aauth=Bearer token^A^A */
#pragma once

#include "base/types.h"
#include "proto/sasl.h"

struct dialog;

#define TOKEN_MAX ((size_t)16 * 1024) /* bytes of a token */

/* The longest message: a token, a user in which every byte is escaped, and
 * what else there is. */
#define TOKEN_MESSAGE_MAX (TOKEN_MAX + (size_t)4 * 1024)

/* The longest line with such a message in base64, and its CRLF. */
#define TOKEN_LINE_MAX ((size_t)28 * 1024)

/* Puts the user and the token of `message`, which is in the arena, into
 * dialog->credentials; false if it is no such message.  The user is "" when
 * only the token tells it, the token when the client only asks where to get
 * one (RFC 7628 4.3). */
bool sasl_token_take(struct dialog *d, enum mechanism m, struct slice message);

/* Of the characters that RFC 6750 allows, and no longer than TOKEN_MAX. */
bool token_is_sane(struct slice token);
