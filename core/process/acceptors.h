/* acceptors.h -- what a worker accepts connections on.
 *
 * Its own slot's sockets, and those of a neighbour's slot while it keeps
 * them.  A socket given back is only paused, not closed: the supervisor holds
 * it open, so epoll would go on reporting it for a descriptor that is gone. */
#pragma once

#include "base/list.h"
#include "net/listener.h"

struct acceptors {
    struct ev_loop *loop;
    struct list all;
    bool started;
    void (*accept)(void *arg, unsigned listener, int fd,
                   const struct addr *client);
    void *arg;
};

void acceptors_init(struct acceptors *a, struct ev_loop *loop);

/* Takes over `fd`, of that listener and slot. */
void acceptors_add(struct acceptors *a, unsigned listener, unsigned slot,
                   int fd);

/* Begins to accept on all that were added and those still to come. */
void acceptors_start(struct acceptors *a,
                     void (*accept)(void *arg, unsigned listener, int fd,
                                    const struct addr *client),
                     void *arg);

/* Stops accepting for that slot. */
void acceptors_release(struct acceptors *a, unsigned slot);

/* Closes all. */
void acceptors_deinit(struct acceptors *a);
