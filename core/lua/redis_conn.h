/* redis_conn.h -- one connection to a Redis server: commands go out, answers
 * come in, for one user at a time. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "lua/failure.h"
#include "lua/redis_reply.h"
#include "net/stream.h"

#include <ev.h>

#define REDIS_REQUEST_MAX ((size_t)4 << 20) /* of one pipeline */

/* `reply` becomes the user's.  False: the connection is not his any more. */
typedef bool (*redis_reply_fn)(void *arg, struct redis_reply *reply);
/* The connection is over; the user closes it. */
typedef void (*redis_lost_fn)(void *arg, enum failure kind, const char *text);

struct redis_pool;

struct redis_conn {
    struct list link;        /* in pool->idle */
    struct redis_pool *pool; /* while it is there */
    struct ev_loop *loop;
    struct stream stream;
    ev_io io;
    ev_timer timer; /* of the pool, while it is idle */
    struct buf out;
    size_t sent; /* bytes, for this user */
    struct redis_reader *reader;
    bool kept;    /* has been idle: the server may have closed it */
    bool shaking; /* TLS is not up yet; nothing has been sent */
    bool failed;  /* found out while writing; told with the next event */
    redis_reply_fn on_reply;
    redis_lost_fn on_lost;
    void *arg;
};

struct redis_conn *redis_conn_new(struct ev_loop *loop, struct stream stream);
void redis_conn_close(struct redis_conn *c); /* NULL is fine */

/* Whom it tells from now on. */
void redis_conn_use(struct redis_conn *c, redis_reply_fn on_reply,
                    redis_lost_fn on_lost, void *arg);

/* Sends what is in `out`, now and later.  Calls nobody back. */
void redis_conn_flush(struct redis_conn *c);

/* Nothing has come that nobody asked for, nor has it been closed. */
bool redis_conn_is_silent(struct redis_conn *c);
