/* redis_pool.h -- connections to one Redis server, at most so many of them.
 *
 * Pools belong to the process: generations that name the same server with the
 * same TLS settings share one, so that a reload begins with open connections.
 * When the last lets go of it, they are closed.  A connection that nobody has
 * is watched, so that one that the server closes is noticed. */
#pragma once

#include "lua/auth_tls.h"
#include "lua/lasting.h"
#include "lua/redis_conn.h"
#include "lua/redis_server.h"

struct redis_pool {
    struct list link; /* in lasting->redis_pools */
    unsigned references;
    char digest[64];
    struct ev_loop *loop;
    struct dns *dns;
    struct redis_server server; /* owned */
    struct list idle;           /* the last used first */
    struct list waiting;        /* of redis_turn */
    size_t open, open_max;      /* connections, idle ones among them */
    size_t queued, queue_max;
    struct redis_place master; /* whom a Sentinel has named; host "": nobody */
    size_t sentinel;           /* the one to ask first */
    ev_tstamp failed_until;    /* failures are not logged again until then */
};

/* What one generation makes of a pool. */
struct redis_group {
    unsigned references;
    struct redis_pool *pool; /* NULL: not yet */
    struct auth_tls tls;
    struct config *config; /* a reference, for `tls`; or NULL */
    double timeout;        /* seconds, of everything */
};

/* Its TLS profiles are those of `config`, which may be NULL. */
struct redis_group *redis_group_new(struct config *config);
struct redis_group *redis_group_ref(struct redis_group *g);
void redis_group_unref(struct redis_group *g); /* NULL is fine */

/* The pool of this server, which is taken over; a reference. */
struct redis_pool *redis_pool_get(struct lasting *l,
                                  struct redis_server *server,
                                  struct slice tls);

/* Who waits for a connection. */
struct redis_turn {
    struct list link;
    /* `conn` is his; NULL: he may make one. */
    void (*granted)(struct redis_turn *t, struct redis_conn *conn);
};

enum redis_grant {
    REDIS_GRANTED, /* `*conn` is his; NULL: he may make one */
    REDIS_QUEUED,  /* `granted` will be called */
    REDIS_FULL,
};

enum redis_grant redis_pool_ask(struct redis_pool *p, struct redis_turn *t,
                                struct redis_conn **conn) MUST_USE;
/* Waits no longer. */
void redis_pool_forgo(struct redis_pool *p, struct redis_turn *t);
/* Gives back what was granted, with the connection or NULL. */
void redis_pool_return(struct redis_pool *p, struct redis_conn *conn);

/* The server may not be the master any more: Sentinels are asked again. */
void redis_pool_forget_master(struct redis_pool *p);

/* Logs, though not again and again; the first success ends that. */
void redis_pool_log_failure(struct redis_pool *p, const char *text);
