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
    /* Whether connections to that socket are to be accepted now. */
    bool (*serves)(void *arg, unsigned socket);
    void (*accept)(void *arg, unsigned socket, int fd,
                   const struct addr *client);
    void *arg;
};

/* The caller sets the callbacks. */
void acceptors_init(struct acceptors *a, struct ev_loop *loop);

/* Takes over `fd`, of that socket and slot. */
void acceptors_add(struct acceptors *a, unsigned socket, unsigned slot, int fd);

/* What is served has changed: begins to accept on the sockets that are now,
 * closes the others. */
void acceptors_renew(struct acceptors *a);

/* Stops accepting for that slot. */
void acceptors_release(struct acceptors *a, unsigned slot);

/* Closes all. */
void acceptors_deinit(struct acceptors *a);
