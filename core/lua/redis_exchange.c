#include "lua/redis_exchange.h"

#include "base/slice.h"
#include "lua/redis_link.h"

#include <stdlib.h>

struct redis_exchange {
    struct redis_turn turn;
    struct redis_group *group; /* a reference */
    struct redis_question question;
    struct redis_reply **replies;
    size_t got;
    bool waits;   /* for its turn */
    bool relinks; /* a kept connection was dead: it has its second */
    bool moved;   /* the server said that it is not the master */
    struct redis_link *link;
    struct redis_conn *conn;
    ev_timer timer;
    ev_tstamp ends;
    redis_done_fn done;
    void *arg;
};

/* Gives up its turn, with the connection if that can be used again. */
static void
release(struct redis_exchange *e, bool clean)
{
    struct redis_pool *p = e->group->pool;

    ev_timer_stop(p->loop, &e->timer);
    if (e->waits) {
        redis_pool_forgo(p, &e->turn);
        e->waits = false;
        return;
    }
    redis_link_cancel(e->link);
    if (!clean) {
        redis_conn_close(e->conn);
        e->conn = NULL;
    }
    redis_pool_return(p, e->conn);
}

static void
exchange_free(struct redis_exchange *e)
{
    for (size_t i = 0; i < e->got; i++)
        redis_reply_free(e->replies[i]);
    free(e->replies);
    buf_deinit(&e->question.commands);
    buf_deinit(&e->question.fallback);
    redis_group_unref(e->group);
    free(e);
}

static void
fail(struct redis_exchange *e, enum failure kind, const char *text)
{
    struct redis_outcome outcome = {.kind = kind, .text = text};

    release(e, false);
    e->done(e->arg, &outcome);
    exchange_free(e);
}

static void
finish(struct redis_exchange *e)
{
    struct redis_outcome outcome = {.replies = e->replies, .count = e->got};
    /* What came behind the answers would be taken for the next one's. */
    bool clean = !e->question.leaves_state && !e->moved &&
                 redis_reader_is_empty(e->conn->reader);

    if (e->moved)
        redis_pool_forget_master(e->group->pool);
    release(e, clean);
    e->done(e->arg, &outcome);
    exchange_free(e);
}

static void link_up(struct redis_exchange *e);

/* A server that closed a kept connection before anything was sent has not
 * seen the question: it is asked once more, over a fresh one. */
static void
on_lost(void *arg, enum failure kind, const char *text)
{
    struct redis_exchange *e = arg;

    if (e->conn->kept && e->conn->sent == 0 && !e->relinks) {
        e->relinks = true;
        redis_conn_close(e->conn);
        e->conn = NULL;
        link_up(e);
        return;
    }
    redis_pool_forget_master(e->group->pool);
    redis_pool_log_failure(e->group->pool, text);
    fail(e, kind, text);
}

/* The script is not known there yet: the whole of it is sent. */
static bool
falls_back(struct redis_exchange *e, struct redis_reply *reply)
{
    struct buf *fallback = &e->question.fallback;

    if (buf_is_empty(fallback) || !redis_reply_is_error(reply, S("NOSCRIPT")))
        return false;
    redis_reply_free(reply);
    bool ok = buf_append(&e->conn->out, buf_bytes(fallback));
    require(ok); /* it is as bounded as the question */
    buf_deinit(fallback);
    redis_conn_flush(e->conn);
    return true;
}

static bool
on_reply(void *arg, struct redis_reply *reply)
{
    struct redis_exchange *e = arg;

    if (falls_back(e, reply))
        return true;
    e->replies[e->got++] = reply;
    e->moved = e->moved || redis_reply_is_error(reply, S("READONLY")) ||
               redis_reply_is_error(reply, S("MASTERDOWN"));
    if (e->got < e->question.count)
        return true;
    finish(e);
    return false;
}

static void
ask(struct redis_exchange *e, struct redis_conn *conn)
{
    e->conn = conn;
    redis_conn_use(conn, on_reply, on_lost, e);
    bool ok = buf_append(&conn->out, buf_bytes(&e->question.commands));
    require(ok); /* it is bounded to fit */
    redis_conn_flush(conn);
}

static void
on_linked(void *arg, struct redis_conn *conn, enum failure kind,
          const char *text)
{
    struct redis_exchange *e = arg;

    e->link = NULL;
    if (conn != NULL)
        ask(e, conn);
    else
        fail(e, kind, text);
}

static void
link_up(struct redis_exchange *e)
{
    double left = e->ends - ev_now(e->group->pool->loop);

    e->link =
        redis_link_start(e->group, left > 0.001 ? left : 0.001, on_linked, e);
}

static void
go_on(struct redis_exchange *e, struct redis_conn *conn)
{
    if (conn != NULL)
        ask(e, conn);
    else
        link_up(e);
}

static void
on_granted(struct redis_turn *t, struct redis_conn *conn)
{
    struct redis_exchange *e = container_of(t, struct redis_exchange, turn);

    e->waits = false;
    go_on(e, conn);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redis_exchange *e = container_of(w, struct redis_exchange, timer);

    (void)loop;
    (void)events;
    if (e->waits) {
        fail(e, FAILURE_TIMEOUT, "all connections are busy");
        return;
    }
    redis_pool_forget_master(e->group->pool);
    redis_pool_log_failure(e->group->pool, "timed out");
    fail(e, FAILURE_TIMEOUT, "timed out");
}

static void
wipe(struct redis_question *q)
{
    buf_deinit(&q->commands);
    buf_deinit(&q->fallback);
}

struct redis_exchange *
redis_exchange_start(struct redis_group *g, struct redis_question *q,
                     double seconds, redis_done_fn done, void *arg)
{
    struct redis_exchange *e = xcalloc(1, sizeof *e);
    struct redis_conn *conn = NULL;

    list_init(&e->turn.link);
    e->turn.granted = on_granted;
    enum redis_grant grant = redis_pool_ask(g->pool, &e->turn, &conn);
    if (grant == REDIS_FULL) {
        wipe(q);
        free(e);
        return NULL;
    }
    e->group = redis_group_ref(g);
    e->question = *q;
    buf_init(&q->commands, 0);
    buf_init(&q->fallback, 0);
    e->replies = xcalloc(e->question.count, sizeof(void *));
    e->done = done;
    e->arg = arg;
    e->ends = ev_now(g->pool->loop) + seconds;
    e->waits = grant == REDIS_QUEUED;
    ev_init(&e->timer, on_timeout);
    e->timer.repeat = seconds;
    ev_timer_again(g->pool->loop, &e->timer);
    if (!e->waits)
        go_on(e, conn);
    return e;
}

void
redis_exchange_cancel(struct redis_exchange *e)
{
    release(e, false);
    exchange_free(e);
}
