/* socket_pool.h -- connections that policies' sockets have left for others.
 *
 * A pool has a name, by default that of the peer, and a certificate that its
 * connections may have shown: to the peer they are whoever that is, so nobody
 * without it is given one.  It holds the connections that are idle, knows how
 * many are in use, and who waits for one.  It lasts as long as it has any of
 * these, whatever becomes of generations. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "net/stream.h"
#include "net/tls_identity.h"

#include <ev.h>

struct lasting;
struct socket_pool;

/* What goes with a connection from one user to the next. */
struct socket_kept {
    struct stream stream;
    struct buf tls;  /* what its peer had to prove; empty: plain */
    unsigned reused; /* how often it was taken */
};

/* One who waits for a connection or for the right to make one; told once,
 * from the loop, and then out of the list.  `turn` may end others. */
struct socket_waiter {
    struct list link;
    void (*turn)(struct socket_waiter *w);
};

/* The digest of a policy's own certificate (tls_identity_digest), or zeros. */
struct socket_shown {
    unsigned char digest[TLS_IDENTITY_DIGEST];
};

/* The pool of that name, with one more in use: each is left once.  `size` is
 * how many may be idle, or, for who waits, in use; the newest counts. */
struct socket_pool *socket_pool_enter(struct lasting *l, const char *name,
                                      const struct socket_shown *shown,
                                      size_t size);
/* Leaves it for the one of the same name and another certificate. */
struct socket_pool *socket_pool_change(struct lasting *l, struct socket_pool *p,
                                       const struct socket_shown *shown);
/* One fewer is in use. */
void socket_pool_leave(struct socket_pool *p);

/* Whether more are in use, without who waits, than the pool is large. */
bool socket_pool_is_over(const struct socket_pool *p);
size_t socket_pool_waiting(const struct socket_pool *p);
void socket_pool_wait(struct socket_pool *p, struct socket_waiter *w);
/* It waits no more; it still is in use until it leaves. */
void socket_pool_give_up(struct socket_pool *p, struct socket_waiter *w);

/* The connection that was used last, if there is one; now the caller's. */
bool socket_pool_take(struct socket_pool *p, struct socket_kept *kept);

/* Keeps the connection for so many seconds (0: as long as the peer does); it
 * is closed when it says anything.  `size` 0: as many as before. */
void socket_pool_keep(struct socket_pool *p, const struct socket_kept *kept,
                      double seconds, size_t size);

void socket_pools_free(struct lasting *l);
