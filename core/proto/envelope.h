/* envelope.h -- what a MAIL or RCPT command says (RFC 5321 4.1.1).
 *
 * A policy is told what a client wrote, not what it should have written: any
 * bytes are parsed to something. */
#pragma once

#include "base/types.h"

struct envelope_address {
    struct slice address; /* without angle brackets; "" for <> */
    struct slice local_part;
    struct slice domain; /* ptr NULL: the address has no "@" */
    struct slice params; /* "SIZE=100 BODY=8BITMIME" */
};

/* Reads a whole command, of which the result is made. */
struct envelope_address envelope_parse(struct slice command);

/* Removes the first of `params`; false when there is none left.  The value of
 * one without "=" is "". */
bool envelope_next_param(struct slice *params, struct slice *name,
                         struct slice *value);
