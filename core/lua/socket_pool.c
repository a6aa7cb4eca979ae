#include "lua/socket_pool.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/lasting.h"

#include <stdlib.h>
#include <string.h>

struct socket_pool {
    struct list link; /* in lasting->socket_pools */
    struct ev_loop *loop;
    size_t size, in_use, waiting;
    struct list idle; /* the one used last comes first */
    size_t idle_count;
    struct list waiters; /* who came first comes first */
    ev_timer turn;       /* waiters go on from the loop */
    struct socket_shown shown;
    char name[];
};

struct idle {
    struct list link;
    struct socket_pool *pool;
    struct socket_kept kept;
    ev_io io;
    ev_timer timer;
};

static size_t
used(const struct socket_pool *p)
{
    return p->in_use - p->waiting;
}

static void
free_if_unused(struct socket_pool *p)
{
    if (p->in_use > 0 || p->idle_count > 0)
        return;
    ev_timer_stop(p->loop, &p->turn);
    list_remove(&p->link);
    free(p);
}

/* Somebody may have his turn now. */
static void
look(struct socket_pool *p)
{
    if (p->waiting > 0 && !ev_is_active(&p->turn))
        ev_timer_start(p->loop, &p->turn);
}

static void
on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct socket_pool *p = container_of(timer, struct socket_pool, turn);

    (void)loop, (void)events;
    if (p->waiting == 0 || (p->idle_count == 0 && used(p) >= p->size))
        return;
    struct socket_waiter *w =
        container_of(p->waiters.next, struct socket_waiter, link);
    socket_pool_give_up(p, w);
    look(p);
    w->turn(w);
}

static struct socket_pool *
find(struct lasting *l, const char *name, const struct socket_shown *shown)
{
    for (struct list *i = l->socket_pools.next; i != &l->socket_pools;
         i = i->next) {
        struct socket_pool *p = container_of(i, struct socket_pool, link);
        if (strcmp(p->name, name) == 0 &&
            memcmp(&p->shown, shown, sizeof *shown) == 0)
            return p;
    }
    return NULL;
}

static struct socket_pool *
pool_new(struct lasting *l, const char *name, const struct socket_shown *shown)
{
    size_t len = strlen(name) + 1;
    struct socket_pool *p = xcalloc(1, sizeof *p + len);

    memcpy(p->name, name, len);
    p->shown = *shown;
    p->loop = l->loop;
    list_init(&p->idle);
    list_init(&p->waiters);
    ev_timer_init(&p->turn, on_turn, 0., 0.);
    list_append(&l->socket_pools, &p->link);
    return p;
}

struct socket_pool *
socket_pool_enter(struct lasting *l, const char *name,
                  const struct socket_shown *shown, size_t size)
{
    struct socket_pool *p = find(l, name, shown);

    if (p == NULL)
        p = pool_new(l, name, shown);
    p->size = size;
    p->in_use++;
    return p;
}

void
socket_pool_leave(struct socket_pool *p)
{
    p->in_use--;
    look(p);
    free_if_unused(p);
}

struct socket_pool *
socket_pool_change(struct lasting *l, struct socket_pool *p,
                   const struct socket_shown *shown)
{
    struct socket_pool *other = socket_pool_enter(l, p->name, shown, p->size);

    socket_pool_leave(p);
    return other;
}

bool
socket_pool_is_over(const struct socket_pool *p)
{
    return used(p) > p->size;
}

size_t
socket_pool_waiting(const struct socket_pool *p)
{
    return p->waiting;
}

void
socket_pool_wait(struct socket_pool *p, struct socket_waiter *w)
{
    list_append(&p->waiters, &w->link);
    p->waiting++;
}

void
socket_pool_give_up(struct socket_pool *p, struct socket_waiter *w)
{
    list_remove(&w->link);
    p->waiting--;
}

/* --- idle connections --- */

/* The connection is the caller's. */
static void
let_go(struct idle *i)
{
    struct socket_pool *p = i->pool;

    ev_io_stop(p->loop, &i->io);
    ev_timer_stop(p->loop, &i->timer);
    list_remove(&i->link);
    p->idle_count--;
    free(i);
}

static void
drop(struct idle *i)
{
    struct socket_kept kept = i->kept;

    let_go(i);
    stream_close(&kept.stream);
    buf_deinit(&kept.tls);
}

static void
on_idle_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct idle *i = container_of(timer, struct idle, timer);
    struct socket_pool *p = i->pool;

    (void)loop, (void)events;
    drop(i);
    free_if_unused(p);
}

/* What TLS itself sends, such as tickets, is nothing that was said. */
static void
on_idle_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct idle *i = container_of(io, struct idle, io);
    struct socket_pool *p = i->pool;
    size_t moved = 0;
    char byte;

    (void)loop, (void)events;
    if (stream_read(&i->kept.stream, &byte, 1, &moved) == IO_AGAIN)
        return;
    drop(i);
    free_if_unused(p);
}

bool
socket_pool_take(struct socket_pool *p, struct socket_kept *kept)
{
    if (list_is_empty(&p->idle))
        return false;
    struct idle *i = container_of(p->idle.next, struct idle, link);
    *kept = i->kept;
    kept->reused++;
    let_go(i);
    return true;
}

void
socket_pool_keep(struct socket_pool *p, const struct socket_kept *kept,
                 double seconds, size_t size)
{
    struct idle *i = xcalloc(1, sizeof *i);

    if (size > 0)
        p->size = size;
    i->pool = p;
    i->kept = *kept;
    ev_io_init(&i->io, on_idle_io, kept->stream.fd, EV_READ);
    ev_io_start(p->loop, &i->io);
    ev_timer_init(&i->timer, on_idle_timer, seconds, 0.);
    if (seconds > 0)
        ev_timer_start(p->loop, &i->timer);
    list_append(p->idle.next, &i->link); /* in front */
    p->idle_count++;
    if (p->idle_count > p->size)
        drop(container_of(p->idle.prev, struct idle, link));
    look(p);
}

static void
drop_all(struct socket_pool *p)
{
    for (struct list *l = p->idle.next, *next; l != &p->idle; l = next) {
        next = l->next;
        drop(container_of(l, struct idle, link));
    }
}

void
socket_pools_free(struct lasting *l)
{
    for (struct list *i = l->socket_pools.next, *next; i != &l->socket_pools;
         i = next) {
        struct socket_pool *p = container_of(i, struct socket_pool, link);
        next = i->next;
        require(p->in_use == 0);
        drop_all(p);
        free_if_unused(p);
    }
}
