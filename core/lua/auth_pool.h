/* auth_pool.h -- connections to one auth server, kept open between questions.
 *
 * Pools belong to the process: generations that name the same server with the
 * same TLS settings share one, so that a reload begins with open connections.
 * When the last lets go of it, its idle connections are closed.
 *
 * A connection is taken by one exchange at a time.  While nobody has it, it
 * is watched: the rest of a body is read and dropped, up to a bound, and a
 * server that closes is noticed. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "lua/auth_url.h"
#include "lua/lasting.h"
#include "net/stream.h"
#include "proto/http_reply.h"

#include <ev.h>

struct auth_pool {
    struct list link; /* in lasting->auth_pools */
    unsigned references;
    char *settings; /* owned */
    size_t settings_len;
    struct ev_loop *loop;
    struct counters *counters;
    struct counter *answered, *failed; /* questions; NULL: none yet */
    struct auth_url url;               /* owned */
    struct list idle;                  /* ready, the last used first */
    struct list draining;              /* not at the end of a body yet */
    size_t kept;                       /* in both */
    size_t keep_max;
    struct buf head;        /* that each request begins with */
    ev_tstamp failed_until; /* other servers are asked first until then */
};

struct auth_conn {
    struct list link;
    struct auth_pool *pool;
    struct stream stream;
    ev_io io; /* the taker's while it is taken: set `cb` and `data` at once,
                 it may be active already */
    ev_timer timer;
    struct http_body body;
    size_t drained;
    bool reused; /* has carried an answer before */
};

/* The pool for the server of `url`, which is taken over, and for these TLS
 * settings: what differs may share no connection.  A reference. */
struct auth_pool *auth_pool_get(struct lasting *l, struct auth_url *url,
                                struct slice settings, size_t keep_max);
void auth_pool_unref(struct auth_pool *p);

/* Counts one question, by whether it was answered. */
void auth_pool_count(struct auth_pool *p, bool answered);

/* A kept connection, or NULL. */
struct auth_conn *auth_pool_take(struct auth_pool *p);

/* A fresh one over `stream`, taken. */
struct auth_conn *auth_conn_new(struct auth_pool *p, struct stream stream);

/* Waits for EV_READ, EV_WRITE or both. */
void auth_conn_watch(struct auth_conn *c, int events);

/* Gives it back after an answer whose body is `body`, of which `rest` has
 * been read; it is closed if it can't be used again. */
void auth_conn_keep(struct auth_conn *c, const struct http_reply *reply,
                    struct slice rest);
void auth_conn_close(struct auth_conn *c); /* NULL is fine */
