/* listener.h -- accepting connections on one listening descriptor. */
#pragma once

#include "base/error.h"
#include "net/addr.h"

#include <ev.h>

struct listen_options {
    int backlog;        /* 0: 511 */
    bool reuse_port;    /* one socket a worker slot */
    bool joins;         /* our own sockets have the port: no probe */
    bool ipv6_only;     /* default true */
    int keepalive_idle; /* seconds; 0: system's, -1: keepalive off */
    int keepalive_interval, keepalive_count; /* 0: system's */
    int receive_buffer, send_buffer;         /* bytes; 0: system's */
    int mode;    /* of a unix socket's file; 0: 0666 */
    bool owned;  /* the file gets this user and group; else our own */
    uid_t owner; /* (uid_t)-1: our own */
    gid_t group;
};

/* Binds and listens; -1 and `err` if it can't.  With `reuse_port` a probe bind
 * without it comes first, so that another program's port is "in use"; the
 * second and later sockets of an address are bound with `joins`.  A unix
 * socket file nobody listens on is replaced. TCP_NODELAY is set (inherited by
 * what is accepted). */
int listener_bind(const struct addr *a, const struct listen_options *o,
                  struct error *err);

/* Gives a socket of listener_bind other options; what they were when it was
 * bound (`ipv6_only`) stays. */
void listener_adjust(int fd, const struct addr *a,
                     const struct listen_options *o);

struct listener;

/* Called for each connection; `fd` is non-blocking and close-on-exec and is
 * the callee's. */
typedef void (*accept_fn)(void *arg, int fd, const struct addr *client);

/* Accepts in batches of up to 64.  Out of descriptors, accepting pauses for
 * half a second (logged once) instead of spinning. */
struct listener *listener_new(struct ev_loop *loop, int fd, accept_fn accept,
                              void *arg);
/* Stops and starts accepting, the descriptor stays open. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
void listener_free(struct listener *l); /* closes the descriptor */
