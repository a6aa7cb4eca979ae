/* scram_first.h -- what a client says first in SCRAM (RFC 5802 7). */
#pragma once

#include "base/types.h"

#define SCRAM_NONCE_MAX 256

struct scram_first {
    char flag;            /* 'n', 'y' or 'p', of the channel binding */
    struct slice binding; /* of 'p': "tls-exporter" */
    struct slice authzid; /* as it came, see scram_unescape; "" without one */
    struct slice user;    /* as it came */
};

/* Takes `message` apart; false if it is none, or wants an extension that this
 * gateway does not know. */
bool scram_first_parse(struct slice message, struct scram_first *first);

/* Writes `name` with its "=2C" and "=3D" undone to `out`, which has room for
 * name.len bytes; false if there is another '='. */
bool scram_unescape(struct slice name, char *out, size_t *len);
