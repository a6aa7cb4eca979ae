/* sockets.h -- every listening descriptor, kept by the supervisor.
 *
 * A TCP address has one SO_REUSEPORT socket for each worker slot: the kernel
 * spreads connections over them, and what waits in the backlog of one outlives
 * the worker that served it.  A unix socket is one, shared by all. */
#pragma once

#include "base/buf.h"
#include "lua/evaluate.h"
#include "net/addr.h"

struct sockets {
    size_t listener_count, slot_count;
    struct addr *addresses; /* one a listener, with the real port */
    int *fds;               /* [listener * slot_count + slot] */
};

/* Opens everything in `plan`.  On failure every error is in `errors`, one a
 * line, and nothing stays open. */
bool sockets_open(struct sockets *s, const struct plan *plan,
                  struct buf *errors) MUST_USE;

/* Closes them and removes the files of unix sockets. */
void sockets_close(struct sockets *s);

/* Slots count from 0. */
int sockets_fd(const struct sockets *s, size_t listener, size_t slot);
bool sockets_is_shared(const struct sockets *s, size_t listener);
