#include "lua/redis_pool.h"

#include "base/log.h"
#include "base/slice.h"

#include <stdlib.h>

#define IDLE_SECONDS   60.
#define FAILED_SECONDS 10.

struct redis_group *
redis_group_new(struct config *config)
{
    struct redis_group *g = xcalloc(1, sizeof *g);

    g->references = 1;
    auth_tls_init(&g->tls);
    if (config != NULL)
        g->tls.config = g->config = config_ref(config);
    return g;
}

struct redis_group *
redis_group_ref(struct redis_group *g)
{
    g->references++;
    return g;
}

/* Closes the connections that nobody has. */
static void
close_idle(struct redis_pool *p)
{
    while (!list_is_empty(&p->idle)) {
        redis_conn_close(container_of(p->idle.next, struct redis_conn, link));
        p->open--;
    }
}

static void
pool_unref(struct redis_pool *p)
{
    if (p == NULL || --p->references > 0)
        return;
    require(list_is_empty(&p->waiting));
    close_idle(p);
    list_remove(&p->link);
    redis_server_deinit(&p->server);
    free(p);
}

void
redis_group_unref(struct redis_group *g)
{
    if (g == NULL || --g->references > 0)
        return;
    pool_unref(g->pool);
    auth_tls_deinit(&g->tls);
    if (g->config != NULL)
        config_unref(g->config);
    free(g);
}

static struct redis_pool *
find(struct list *pools, const char digest[64])
{
    for (struct list *l = pools->next; l != pools; l = l->next) {
        struct redis_pool *p = container_of(l, struct redis_pool, link);
        if (memcmp(p->digest, digest, sizeof p->digest) == 0)
            return p;
    }
    return NULL;
}

struct redis_pool *
redis_pool_get(struct lasting *l, struct redis_server *server, struct slice tls)
{
    char digest[64];

    redis_server_digest(server, tls, digest);
    struct redis_pool *p = find(&l->redis_pools, digest);
    if (p != NULL) {
        redis_server_deinit(server);
        p->references++;
        return p;
    }
    p = xcalloc(1, sizeof *p);
    p->references = 1;
    memcpy(p->digest, digest, sizeof digest);
    p->loop = l->loop;
    p->dns = l->dns;
    p->server = *server;
    list_init(&p->idle);
    list_init(&p->waiting);
    list_append(&l->redis_pools, &p->link);
    return p;
}

/* --- idle connections --- */

static void
drop_idle(struct redis_conn *c)
{
    struct redis_pool *p = c->pool;

    redis_conn_close(c);
    p->open--;
}

/* It must be silent. */
static bool
on_idle_reply(void *arg, struct redis_reply *reply)
{
    redis_reply_free(reply);
    drop_idle(arg);
    return false;
}

static void
on_idle_lost(void *arg, enum failure kind, const char *text)
{
    struct redis_conn *c = arg;

    (void)kind;
    (void)text;
    redis_pool_forget_master(c->pool);
    drop_idle(c);
}

static void
on_idle_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    drop_idle(container_of(w, struct redis_conn, timer));
}

/* The next one to ask takes the one used last, so that others can expire. */
static void
become_idle(struct redis_pool *p, struct redis_conn *c)
{
    c->pool = p;
    c->kept = true;
    redis_conn_use(c, on_idle_reply, on_idle_lost, c);
    list_append(p->idle.next, &c->link);
    ev_set_cb(&c->timer, on_idle_timer);
    c->timer.repeat = IDLE_SECONDS;
    ev_timer_again(p->loop, &c->timer);
}

static struct redis_conn *
take_idle(struct redis_pool *p)
{
    while (!list_is_empty(&p->idle)) {
        struct redis_conn *c =
            container_of(p->idle.next, struct redis_conn, link);
        if (!redis_conn_is_silent(c)) {
            drop_idle(c);
            continue;
        }
        list_remove(&c->link);
        ev_timer_stop(p->loop, &c->timer);
        return c;
    }
    return NULL;
}

/* --- turns --- */

enum redis_grant
redis_pool_ask(struct redis_pool *p, struct redis_turn *t,
               struct redis_conn **conn)
{
    *conn = take_idle(p);
    if (*conn != NULL)
        return REDIS_GRANTED;
    if (p->open < p->open_max) {
        p->open++;
        return REDIS_GRANTED;
    }
    if (p->queued >= p->queue_max)
        return REDIS_FULL;
    p->queued++;
    list_append(&p->waiting, &t->link);
    return REDIS_QUEUED;
}

void
redis_pool_forgo(struct redis_pool *p, struct redis_turn *t)
{
    list_remove(&t->link);
    p->queued--;
}

void
redis_pool_return(struct redis_pool *p, struct redis_conn *conn)
{
    if (p->open > p->open_max) { /* it has been made smaller */
        redis_conn_close(conn);
        p->open--;
        return;
    }
    if (!list_is_empty(&p->waiting)) {
        struct redis_turn *t =
            container_of(p->waiting.next, struct redis_turn, link);
        redis_pool_forgo(p, t);
        t->granted(t, conn);
        return;
    }
    if (conn != NULL)
        become_idle(p, conn);
    else
        p->open--;
}

void
redis_pool_forget_master(struct redis_pool *p)
{
    p->master = (struct redis_place){0};
}

void
redis_pool_log_failure(struct redis_pool *p, const char *text)
{
    if (ev_now(p->loop) >= p->failed_until)
        log_warn("redis %s: %s", p->server.name, text);
    p->failed_until = ev_now(p->loop) + FAILED_SECONDS;
}
