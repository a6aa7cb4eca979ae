#include "lua/directory.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/spec_world.h"
#include "net/stand_in.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_SECONDS 60.
#define KEY_MAX      ((size_t)16 << 10)

static void serve(struct directory *d);

/* --- clients --- */

struct directory_client *
directory_client_new(void)
{
    struct directory_client *c = xcalloc(1, sizeof *c);

    c->references = 1;
    auth_tls_init(&c->tls);
    return c;
}

static void
conn_free(struct directory_conn *conn)
{
    struct directory *d = conn->directory;

    directory_unwatch(conn);
    ev_timer_stop(d->lasting->loop, &conn->timer);
    list_remove(&conn->link);
    d->open--;
    d->kind->conn_free(conn);
}

static void
directory_unref(struct directory *d)
{
    struct list *next;

    if (--d->references > 0)
        return;
    require(list_is_empty(&d->waiting));
    for (struct list *l = d->idle.next; l != &d->idle; l = next) {
        next = l->next;
        conn_free(container_of(l, struct directory_conn, link));
    }
    require(d->open == 0);
    ev_timer_stop(d->lasting->loop, &d->soon);
    list_remove(&d->link);
    d->kind->settings_free(d->settings);
    free((char *)(uintptr_t)d->key.ptr);
    free(d->host);
    free(d);
}

void
directory_client_unref(struct directory_client *c)
{
    if (c == NULL || --c->references > 0)
        return;
    if (c->directory != NULL)
        directory_unref(c->directory);
    auth_tls_deinit(&c->tls);
    free(c);
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    serve(container_of(timer, struct directory, soon));
}

static struct directory *
directory_new(struct lasting *l, const struct directory *like, struct slice key)
{
    struct directory *d = xcalloc(1, sizeof *d);

    *d = *like;
    d->references = 0;
    d->lasting = l;
    d->key = (struct slice){xstrndup(key.ptr, key.len), key.len};
    list_init(&d->idle);
    list_init(&d->waiting);
    ev_timer_init(&d->soon, on_soon, 0., 0.);
    list_append(&l->directories, &d->link);
    return d;
}

static struct directory *
find(struct list *all, const struct directory_kind *kind, struct slice key)
{
    for (struct list *l = all->next; l != all; l = l->next) {
        struct directory *d = container_of(l, struct directory, link);
        if (d->kind == kind && slice_equal(d->key, key))
            return d;
    }
    return NULL;
}

/* The password is in the key as a digest. */
static void
put_key(struct buf *out, const struct directory_client *c,
        const struct directory *like, struct slice key, struct slice secret)
{
    char digest[64];

    digest_hmac_sha256(S("directory"), secret, digest);
    bool ok = buf_append(out, key) && buf_printf(out, "\n%zu %d %.64s\n",
                                                 like->size, like->tls, digest);
    require(ok); /* all of it is bounded */
    if (like->tls)
        auth_tls_describe(&c->tls, out);
}

void
directory_find(struct directory_client *c, struct lasting *l,
               const struct directory *like, struct slice key,
               struct slice secret)
{
    struct buf whole;

    buf_init(&whole, KEY_MAX);
    put_key(&whole, c, like, key, secret);
    struct directory *d = find(&l->directories, like->kind, buf_bytes(&whole));
    if (d == NULL) {
        d = directory_new(l, like, buf_bytes(&whole));
    } else {
        like->kind->settings_free(like->settings);
        free(like->host);
    }
    buf_deinit(&whole);
    d->references++;
    c->directory = d;
}

void
directory_options(const struct options *o, struct directory_client *c,
                  size_t *size)
{
    auth_tls_read(o, &c->tls);
    c->timeout =
        option_number(o, "timeout", (struct option_range){5, 0.001, 600});
    *size = (size_t)option_number(o, "size", (struct option_range){8, 1, 1000});
}

/* --- connections --- */

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct directory_conn *conn = container_of(io, struct directory_conn, io);

    (void)loop;
    conn->directory->kind->happened(conn, events);
}

static void
on_idle_end(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    conn_free(container_of(timer, struct directory_conn, timer));
}

static struct directory_conn *
conn_new(struct directory *d)
{
    struct directory_conn *conn = d->kind->conn_new();

    conn->directory = d;
    list_init(&conn->link);
    ev_init(&conn->io, on_io);
    ev_timer_init(&conn->timer, on_idle_end, IDLE_SECONDS, 0.);
    d->open++;
    return conn;
}

void
directory_watch(struct directory_conn *conn, int fd, int events)
{
    struct ev_loop *loop = conn->directory->lasting->loop;

    if (ev_is_active(&conn->io) && conn->io.fd == fd &&
        (conn->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(loop, &conn->io);
    ev_io_set(&conn->io, fd, events);
    ev_io_start(loop, &conn->io);
}

void
directory_unwatch(struct directory_conn *conn)
{
    ev_io_stop(conn->directory->lasting->loop, &conn->io);
}

static struct directory_conn *
take_idle(struct directory *d)
{
    if (list_is_empty(&d->idle))
        return NULL;
    struct directory_conn *conn =
        container_of(d->idle.next, struct directory_conn, link);
    list_remove(&conn->link);
    ev_timer_stop(d->lasting->loop, &conn->timer);
    return conn;
}

/* --- questions --- */

/* Takes it out of everything. */
static void
detach(struct directory_question *q)
{
    struct directory *d = q->client->directory;

    ev_timer_stop(d->lasting->loop, &q->deadline);
    if (q->conn == NULL && !list_is_empty(&q->link))
        d->waiting_count--;
    list_remove(&q->link);
    if (q->conn != NULL)
        q->conn->question = NULL;
    q->conn = NULL;
}

/* Tells who asked. */
static void
conclude(struct directory_question *q)
{
    struct directory_client *c = q->client;

    detach(q);
    q->done(q);
    directory_client_unref(c);
}

static void
serve_soon(struct directory *d)
{
    if (list_is_empty(&d->waiting) || ev_is_active(&d->soon))
        return;
    ev_timer_set(&d->soon, 0., 0.);
    ev_timer_start(d->lasting->loop, &d->soon);
}

static void
serve(struct directory *d)
{
    d->references++;
    while (!list_is_empty(&d->waiting)) {
        struct directory_conn *conn = take_idle(d);
        bool fresh = conn == NULL;
        if (fresh && d->open >= d->size)
            break;
        if (fresh)
            conn = conn_new(d);
        struct directory_question *q =
            container_of(d->waiting.next, struct directory_question, link);
        list_remove(&q->link);
        d->waiting_count--;
        q->conn = conn;
        conn->question = q;
        if (fresh)
            d->kind->open(conn);
        else
            d->kind->ask(conn);
    }
    directory_unref(d);
}

static void say(struct directory_question *q, enum failure kind,
                const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void
say(struct directory_question *q, enum failure kind, const char *format,
    va_list arguments)
{
    q->failed = true;
    q->kind = kind;
    (void)vsnprintf(q->text, sizeof q->text, format, arguments);
}

void
directory_fail(struct directory_question *q, enum failure kind,
               const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(q, kind, format, arguments);
    va_end(arguments);
}

void
directory_answered(struct directory_conn *conn)
{
    struct directory *d = conn->directory;
    struct directory_question *q = conn->question;

    list_append(d->idle.next, &conn->link); /* in front */
    ev_timer_set(&conn->timer, IDLE_SECONDS, 0.);
    ev_timer_start(d->lasting->loop, &conn->timer);
    serve_soon(d);
    conclude(q);
}

void
directory_finished(struct directory_conn *conn)
{
    struct directory *d = conn->directory;
    struct directory_question *q = conn->question;

    if (q != NULL)
        q->conn = NULL;
    conn_free(conn);
    serve_soon(d);
    if (q != NULL)
        conclude(q);
}

void
directory_lost(struct directory_conn *conn, enum failure kind,
               const char *format, ...)
{
    struct directory_question *q = conn->question;
    va_list arguments;

    va_start(arguments, format);
    if (q != NULL)
        say(q, kind, format, arguments);
    va_end(arguments);
    directory_finished(conn);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct directory_question *q =
        container_of(timer, struct directory_question, deadline);

    (void)loop;
    (void)events;
    directory_fail(q, FAILURE_TIMEOUT, "timed out");
    if (q->conn != NULL)
        directory_finished(q->conn);
    else
        conclude(q);
}

static void
on_failed(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    conclude(container_of(timer, struct directory_question, deadline));
}

/* Under a spec nobody is asked: it says what the answer is, and when. */
static void
rehearse(struct directory_question *q, struct ev_loop *loop, double seconds)
{
    const struct directory_kind *kind = q->client->directory->kind;
    double delay = spec_world_directory(loop, kind, q);

    if (delay < 0 || delay >= seconds) {
        directory_fail(q, FAILURE_TIMEOUT, "timed out");
        delay = seconds;
    }
    ev_timer_init(&q->deadline, on_failed, delay, 0.);
    ev_timer_start(loop, &q->deadline);
}

static void
refuse(struct directory_question *q, struct ev_loop *loop)
{
    directory_fail(q, FAILURE_OVERLOAD, "%d questions are waiting already",
                   DIRECTORY_WAITING_MAX);
    ev_timer_init(&q->deadline, on_failed, 0., 0.);
    ev_timer_start(loop, &q->deadline);
}

void
directory_ask(struct directory_question *q, struct directory_client *c,
              double seconds, directory_done_fn done)
{
    struct directory *d = c->directory;
    struct ev_loop *loop = d->lasting->loop;

    c->references++;
    q->client = c;
    q->done = done;
    q->rehearsed = LUA_NOREF;
    list_init(&q->link);
    if (stand_in_of(loop) != NULL) {
        rehearse(q, loop, seconds);
        return;
    }
    if (d->waiting_count >= DIRECTORY_WAITING_MAX) {
        refuse(q, loop);
        return;
    }
    ev_timer_init(&q->deadline, on_deadline, seconds, 0.);
    ev_timer_start(loop, &q->deadline);
    list_append(&d->waiting, &q->link);
    d->waiting_count++;
    serve_soon(d);
}

void
directory_cancel(struct directory_question *q)
{
    struct directory_client *c = q->client;
    struct directory *d = c->directory;
    struct directory_conn *conn = q->conn;

    detach(q);
    q->client = NULL;
    if (q->rehearsed != LUA_NOREF)
        spec_world_push(d->lasting->loop, q, NULL);
    if (conn != NULL) {
        conn_free(conn);
        serve_soon(d);
    }
    directory_client_unref(c);
}
