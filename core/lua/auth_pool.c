#include "lua/auth_pool.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/auth_request.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_SECONDS  60.
#define DRAIN_SECONDS 5.
#define DRAIN_MAX     65536

static struct auth_pool *
find(struct list *pools, const char *url, struct slice settings)
{
    for (struct list *l = pools->next; l != pools; l = l->next) {
        struct auth_pool *p = container_of(l, struct auth_pool, link);
        if (strcmp(p->url.text, url) == 0 &&
            slice_equal((struct slice){p->settings, p->settings_len}, settings))
            return p;
    }
    return NULL;
}

static struct auth_pool *
pool_new(struct lasting *l, struct auth_url url, struct slice settings)
{
    struct auth_pool *p = xcalloc(1, sizeof(*p));

    p->loop = l->loop;
    p->counters = l->counters;
    p->url = url;
    p->settings = xstrndup(settings.ptr, settings.len);
    p->settings_len = settings.len;
    buf_init(&p->head, AUTH_REQUEST_MAX);
    list_init(&p->idle);
    list_init(&p->draining);
    list_append(&l->auth_pools, &p->link);
    return p;
}

struct auth_pool *
auth_pool_get(struct lasting *l, struct auth_url *url, struct slice settings,
              size_t keep_max)
{
    struct auth_pool *p = find(&l->auth_pools, url->text, settings);

    if (p == NULL)
        p = pool_new(l, *url, settings);
    else
        auth_url_deinit(url);
    p->references++;
    p->keep_max = keep_max; /* the newest configuration's */
    buf_deinit(&p->head);
    require(auth_request_begin(&p->head, &p->url, keep_max > 0));
    return p;
}

void
auth_pool_count(struct auth_pool *p, bool answered)
{
    struct counter **requests = answered ? &p->answered : &p->failed;
    char server[COUNTER_LABEL_MAX];

    if (*requests == NULL)
        *requests = counters_get(
            p->counters, "auth_requests_total{outcome=\"%s\",server=\"%s\"}",
            answered ? "answered" : "failed",
            counter_label(slice_of(p->url.text), server));
    (*requests)->value++;
}

static void
close_all(struct list *connections)
{
    struct list *next;

    for (struct list *l = connections->next; l != connections; l = next) {
        struct auth_conn *c = container_of(l, struct auth_conn, link);
        next = l->next;
        c->pool->kept--;
        auth_conn_close(c);
    }
}

void
auth_pool_unref(struct auth_pool *p)
{
    if (--p->references > 0)
        return;
    close_all(&p->idle);
    close_all(&p->draining);
    list_remove(&p->link);
    auth_url_deinit(&p->url);
    buf_deinit(&p->head);
    free(p->settings);
    free(p);
}

/* Takes `c` out of the lists, its watchers stopped. */
static void
unwatch(struct auth_conn *c)
{
    ev_io_stop(c->pool->loop, &c->io);
    ev_timer_stop(c->pool->loop, &c->timer);
    list_remove(&c->link);
}

struct auth_conn *
auth_pool_take(struct auth_pool *p)
{
    if (list_is_empty(&p->idle))
        return NULL;
    struct auth_conn *c = container_of(p->idle.next, struct auth_conn, link);
    list_remove(&c->link);
    ev_timer_stop(p->loop, &c->timer);
    p->kept--;
    return c;
}

static void
drop_kept(struct auth_conn *c)
{
    c->pool->kept--;
    auth_conn_close(c);
}

static void
on_kept_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    drop_kept(container_of(w, struct auth_conn, timer));
}

static void
set_timer(struct auth_conn *c, double seconds)
{
    c->timer.repeat = seconds;
    ev_timer_again(c->pool->loop, &c->timer);
}

/* The next exchange takes the one used last, so that the others can expire. */
static void
become_idle(struct auth_conn *c)
{
    c->body.framing = HTTP_BODY_NONE;
    list_remove(&c->link);
    list_append(c->pool->idle.next, &c->link);
    set_timer(c, IDLE_SECONDS);
}

/* Reads on in the body that is read here; closes `c`, which is false, if it
 * makes no sense, is too long, or has something behind it. */
static bool
drain(struct auth_conn *c, struct slice bytes)
{
    size_t used = 0;
    enum parse p = http_body_skip(&c->body, bytes, &used);

    c->drained += used;
    if (p == PARSE_BAD || used < bytes.len || c->drained > DRAIN_MAX) {
        drop_kept(c);
        return false;
    }
    if (p == PARSE_DONE)
        become_idle(c);
    return true;
}

/* An idle connection must be silent; whatever it says ends it.  Whether it is
 * still kept. */
static bool
read_kept(struct auth_conn *c)
{
    char block[4096];
    size_t moved = 0;

    switch (stream_read(&c->stream, block, sizeof(block), &moved)) {
    case IO_AGAIN:
        return true;
    case IO_DONE:
        if (c->body.framing == HTTP_BODY_NONE)
            break;
        return drain(c, (struct slice){block, moved});
    case IO_EOF:
    case IO_ERROR:
        break;
    }
    drop_kept(c);
    return false;
}

static void
on_kept_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct auth_conn *c = container_of(w, struct auth_conn, io);

    (void)loop;
    (void)events;
    while (read_kept(c) && stream_has_more(&c->stream))
        ;
}

struct auth_conn *
auth_conn_new(struct auth_pool *p, struct stream stream)
{
    struct auth_conn *c = xcalloc(1, sizeof(*c));

    c->pool = p;
    c->stream = stream;
    list_init(&c->link);
    ev_init(&c->io, on_kept_readable);
    ev_init(&c->timer, on_kept_timer);
    return c;
}

/* The kernel is only told what changes: a connection that is taken, used and
 * given back is read from all the time. */
void
auth_conn_watch(struct auth_conn *c, int events)
{
    ev_io *io = &c->io;

    if (ev_is_active(io) && (io->events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(c->pool->loop, io);
    ev_io_set(io, c->stream.fd, events);
    ev_io_start(c->pool->loop, io);
}

void
auth_conn_keep(struct auth_conn *c, const struct http_reply *reply,
               struct slice rest)
{
    struct auth_pool *p = c->pool;

    if (!reply->keep_alive || p->kept >= p->keep_max) {
        auth_conn_close(c);
        return;
    }
    p->kept++;
    c->reused = true;
    c->drained = 0;
    http_body_begin(&c->body, reply);
    ev_set_cb(&c->io, on_kept_readable);
    auth_conn_watch(c, EV_READ);
    list_append(&p->draining, &c->link);
    set_timer(c, DRAIN_SECONDS);
    /* What TLS holds back no event will tell of. */
    bool kept = drain(c, rest);
    while (kept && stream_has_more(&c->stream))
        kept = read_kept(c);
}

void
auth_conn_close(struct auth_conn *c)
{
    if (c == NULL)
        return;
    unwatch(c);
    stream_close(&c->stream);
    free(c);
}
