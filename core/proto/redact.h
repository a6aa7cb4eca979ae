/* redact.h -- what may be shown of a dialog to somebody who looks on.
 *
 * Only what is known to be harmless is shown: of a command the words that this
 * gateway knows, never the arguments that hold credentials; of a reply all but
 * what repeats a password.  Everything else is "***". */
#pragma once

#include "base/types.h"

struct dialog;

enum speaker {
    SPEAKER_CLIENT,           /* the client's command */
    SPEAKER_CLIENT_RESPONSE,  /* the client's line within SASL */
    SPEAKER_GATEWAY,          /* our reply to the client */
    SPEAKER_GATEWAY_UPSTREAM, /* our command to the upstream */
    SPEAKER_UPSTREAM,         /* its reply */
    SPEAKER_COUNT,
};

/* What is to be shown of `line` (without its CRLF), in `out`, which is
 * terminated and cut at `size - 1`. */
struct slice redact_line(const struct dialog *d, enum speaker who,
                         struct slice line, char *out, size_t size);

/* Whether `text` holds `hidden`, as it is or within a word of base64. */
bool redact_holds(struct slice text, struct slice hidden);

/* Whether it holds the password of the client or of the upstream, or the
 * beginning of a token. */
bool redact_holds_credentials(const struct dialog *d, struct slice text);
