/* sockets.h -- every listening descriptor, kept by the supervisor.
 *
 * A TCP address has one SO_REUSEPORT socket for each worker slot: the kernel
 * spreads connections over them, and what waits in the backlog of one outlives
 * the worker that served it.  A unix socket is one, shared by all.
 *
 * An address that two configurations have in common is opened once: while one
 * takes the place of the other, both sets hold it. */
#pragma once

#include "base/buf.h"
#include "lua/evaluate.h"
#include "net/addr.h"

/* One address of one listener. */
struct listening {
    unsigned references; /* sets that hold it */
    unsigned id;         /* what workers call it; none has it again */
    char *name;          /* of the listener */
    char *address;       /* as configured */
    struct addr real;    /* with the real port */
    size_t slots;
    int *fds; /* one a slot, or all the same */
};

/* Those of one configuration, in the order of its plan. */
struct sockets {
    size_t listener_count, slot_count;
    struct listening **all;
};

/* Opens everything in `plan` that `live` (or NULL) does not have.  On failure
 * every error is in `errors`, one a line, and nothing new stays open. */
bool sockets_open(struct sockets *s, const struct sockets *live,
                  const struct plan *plan, struct buf *errors) MUST_USE;

/* Sockets that were open already get the options of `plan`, whose they are. */
void sockets_adjust(const struct sockets *s, const struct plan *plan);

/* Lets go of them: those that no other set holds are closed, and the files of
 * unix sockets removed. */
void sockets_close(struct sockets *s);

/* Slots count from 0. */
int sockets_fd(const struct sockets *s, size_t listener, size_t slot);
bool sockets_is_shared(const struct sockets *s, size_t listener);

/* Whether `s` holds the socket called `id`. */
bool sockets_hold(const struct sockets *s, unsigned id);
