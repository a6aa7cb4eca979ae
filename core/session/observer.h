/* observer.h -- who looks on at the sessions of this process.
 *
 * Nobody, as a rule: then each of these points costs the test of a pointer. */
#pragma once

#include "base/types.h"
#include "proto/redact.h"

struct session;

struct session_observer {
    /* A phase was left for s->phase; CLOSE has s->end. */
    void (*entered)(struct session *s);

    /* Bytes as they are on the wire, credentials and all; only before SPLICE.
     * One command or reply, or several. */
    void (*said)(struct session *s, enum speaker who, struct slice bytes);
};

extern const struct session_observer *session_observer; /* or NULL */

/* Shows what waits to be written and was not shown before. */
void session_show_output(struct session *s);
