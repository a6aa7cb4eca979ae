#include "lua/auth_exchange.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/spare.h"
#include "lua/auth_request.h"
#include "net/dial.h"
#include "net/stand_in.h"
#include "net/stream_tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FAILED_SECONDS 10.  /* that a server that failed is asked last */
#define READ_SIZE      1024 /* more than most answers */

struct auth_exchange {
    struct auth_group *group; /* a reference */
    struct buf fields;
    struct buf request; /* to this server; what is unread is unsent */
    struct buf reply;
    struct http_head head;
    struct auth_pool *pool; /* of the server being asked */
    struct auth_conn *conn;
    struct dial *dial;
    ev_timer timer; /* of this try; also starts the first one */
    ev_tstamp ends; /* of all tries */
    unsigned tried; /* set of servers asked in this round */
    unsigned tries_left;
    bool stale;   /* a kept connection failed: use a fresh one */
    bool shaking; /* TLS is not up yet; nothing has been sent */
    enum failure kind;
    auth_done_fn done;
    void *arg;
    char text[512]; /* of the last failure */
};

/* Of exchanges, which begin zeroed up to their text. */
static struct spare spares = {.size = sizeof(struct auth_exchange)};

static void try_next(struct auth_exchange *e);

static void
release(struct auth_exchange *e)
{
    ev_timer_stop(e->group->loop, &e->timer);
    dial_cancel(e->dial);
    e->dial = NULL;
    auth_conn_close(e->conn);
    e->conn = NULL;
    e->shaking = false;
    buf_deinit(&e->request);
    buf_deinit(&e->reply);
    e->head = (struct http_head){0};
}

static void
exchange_free(struct auth_exchange *e)
{
    release(e);
    buf_deinit(&e->fields);
    auth_group_unref(e->group);
    spare_give(&spares, e);
}

static void
finish(struct auth_exchange *e, const struct http_reply *reply)
{
    struct auth_outcome outcome = {
        .reply = reply,
        .kind = e->kind,
        .text = e->text,
        .server = e->pool->url.text,
    };

    ev_timer_stop(e->group->loop, &e->timer);
    e->done(e->arg, &outcome);
    exchange_free(e);
}

/* This server gave no answer: another try, or the end. */
static void
fail(struct auth_exchange *e, enum failure kind, const char *text)
{
    ev_tstamp now = ev_now(e->group->loop);

    if (now >= e->pool->failed_until)
        log_warn("auth_http %s: %s", e->pool->url.text, text);
    e->pool->failed_until = now + FAILED_SECONDS;
    auth_pool_count(e->pool, false);
    e->kind = kind;
    (void)snprintf(e->text, sizeof(e->text), "%s", text);
    release(e);
    if (e->tries_left == 0 || now >= e->ends) {
        finish(e, NULL);
        return;
    }
    e->tries_left--;
    e->stale = false;
    try_next(e);
}

/* The whole head is there: the connection is free for the next question. */
static void
answered(struct auth_exchange *e, const struct http_reply *parsed)
{
    struct slice rest = slice_drop(buf_bytes(&e->reply), parsed->head_len);

    e->pool->failed_until = 0;
    auth_pool_count(e->pool, true);
    if (buf_is_empty(&e->request))
        auth_conn_keep(e->conn, parsed, rest);
    else
        auth_conn_close(e->conn);
    e->conn = NULL;
    finish(e, parsed);
}

/* Overloaded or broken, so another server may do better. */
static bool
worth_another(const struct auth_exchange *e, const struct http_reply *parsed)
{
    return parsed->status >= 500 && e->tries_left > 0;
}

/* Whether more is needed; if not, the connection has been given up. */
static bool
parse(struct auth_exchange *e)
{
    struct http_reply parsed;
    char text[64];

    switch (http_reply_parse(&e->head, buf_bytes(&e->reply), &parsed)) {
    case PARSE_DONE:
        break;
    case PARSE_BAD:
        fail(e, FAILURE_PROTOCOL, "the answer is not HTTP, or too long");
        return false;
    case PARSE_MORE:
    case PARSE_PROMPT:
        return true;
    }
    if (!worth_another(e, &parsed)) {
        answered(e, &parsed);
        return false;
    }
    (void)snprintf(text, sizeof(text), "HTTP status %u", parsed.status);
    fail(e, FAILURE_PROTOCOL, text);
    return false;
}

static void start_dial(struct auth_exchange *e);

/* A kept connection that dies before a byte of answer was closed by the
 * server in the meantime: that is no failure, and the question is asked once
 * more on a fresh one. */
static void
lost(struct auth_exchange *e, enum failure kind, const char *text)
{
    if (!e->conn->reused || !buf_is_empty(&e->reply)) {
        fail(e, kind, text);
        return;
    }
    auth_conn_close(e->conn);
    e->conn = NULL;
    e->stale = true;
    start_dial(e);
}

/* Why the connection is lost: errno, or what TLS knows. */
static void
lost_by_error(struct auth_exchange *e)
{
    char text[256];
    int error = errno;

    if (!e->pool->url.tls) {
        lost(e, FAILURE_CLOSED, strerror(error));
        return;
    }
    /* The words die with the connection. */
    (void)snprintf(text, sizeof(text), "TLS: %s",
                   stream_tls_failure(&e->conn->stream));
    lost(e, FAILURE_TLS, text);
}

/* Whether the answer is still awaited here. */
static bool
read_some(struct auth_exchange *e)
{
    size_t room, moved = 0;
    char *into = buf_reserve(&e->reply, READ_SIZE, &room);

    require(into != NULL); /* parse() has refused a full buffer */
    switch (stream_read(&e->conn->stream, into, room, &moved)) {
    case IO_DONE:
        buf_filled(&e->reply, moved);
        return parse(e);
    case IO_AGAIN:
        return true;
    case IO_EOF:
        lost(e, FAILURE_CLOSED, "closed before the end of the answer");
        return false;
    case IO_ERROR:
        lost_by_error(e);
        return false;
    }
    unreachable();
}

static bool
read_all(struct auth_exchange *e)
{
    do {
        if (!read_some(e))
            return false;
    } while (stream_has_more(&e->conn->stream));
    return true;
}

static void
watch(struct auth_exchange *e)
{
    int events = buf_is_empty(&e->request) ? EV_READ : EV_READ | EV_WRITE;

    auth_conn_watch(e->conn, events | (int)e->conn->stream.wants);
}

/* False if the connection was lost. */
static bool
send_request(struct auth_exchange *e)
{
    while (!buf_is_empty(&e->request)) {
        size_t moved = 0;
        enum io io =
            stream_write(&e->conn->stream, buf_bytes(&e->request), &moved);
        if (io == IO_AGAIN)
            break;
        if (io != IO_DONE)
            return false;
        buf_discard(&e->request, moved);
    }
    watch(e);
    return true;
}

static void ask(struct auth_exchange *e);

/* Nothing is sent before the server has proven who it is. */
static void
shake_hands(struct auth_exchange *e)
{
    struct stream *stream = &e->conn->stream;

    switch (stream_handshake(stream)) {
    case IO_DONE:
        e->shaking = false;
        ask(e);
        return;
    case IO_AGAIN:
        auth_conn_watch(e->conn, (int)stream->wants);
        return;
    case IO_EOF:
    case IO_ERROR:
        lost_by_error(e);
        return;
    }
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct auth_exchange *e = w->data;

    (void)loop;
    if (e->shaking) {
        shake_hands(e);
        return;
    }
    if ((events & EV_READ) != 0 && !read_all(e))
        return;
    if (!send_request(e))
        lost_by_error(e);
}

/* Asks over e->conn.  What goes wrong here shows as an event on the socket, so
 * that nothing ends from inside auth_exchange_start. */
static void
ask(struct auth_exchange *e)
{
    buf_deinit(&e->request);
    bool ok = buf_append(&e->request, buf_bytes(&e->pool->head)) &&
              buf_append(&e->request, buf_bytes(&e->fields));
    require(ok); /* both were bounded to fit */
    e->conn->io.data = e;
    ev_set_cb(&e->conn->io, on_io);
    if (!send_request(e))
        watch(e);
}

static void
start_tls(struct auth_exchange *e)
{
    const struct auth_url *url = &e->pool->url;

    if (!auth_tls_start(&e->group->tls, url->host, url->port,
                        &e->conn->stream)) {
        fail(e, FAILURE_TLS, "TLS could not be started");
        return;
    }
    e->shaking = true;
    e->conn->io.data = e;
    ev_set_cb(&e->conn->io, on_io);
    shake_hands(e);
}

static void
on_dialed(void *arg, enum dial_status status, struct stream *stream,
          const struct addr *addr, const char *text)
{
    struct auth_exchange *e = arg;

    (void)addr;
    e->dial = NULL;
    switch (status) {
    case DIAL_OK:
        e->conn = auth_conn_new(e->pool, *stream);
        if (e->pool->url.tls && stand_in_of(e->group->loop) == NULL)
            start_tls(e);
        else
            ask(e);
        return;
    case DIAL_TIMEOUT:
        fail(e, FAILURE_TIMEOUT, text);
        return;
    case DIAL_DNS:
        fail(e, FAILURE_DNS, text);
        return;
    case DIAL_REFUSED:
    case DIAL_FAILED:
        break;
    }
    fail(e, FAILURE_CONNECT, text);
}

static void
start_dial(struct auth_exchange *e)
{
    char what[512];
    struct dial_request request = {
        .host = e->pool->url.host,
        .port = e->pool->url.port,
        .timeout = ev_timer_remaining(e->group->loop, &e->timer),
        .what = what,
    };

    (void)snprintf(what, sizeof(what), "auth_http %s", e->pool->url.text);
    e->dial = dial_start(e->group->loop, e->group->dns, &request, on_dialed, e);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    struct auth_exchange *e = container_of(w, struct auth_exchange, timer);

    (void)loop;
    (void)events;
    fail(e, FAILURE_TIMEOUT, "timed out");
}

/* The first server not asked yet, those that failed lately last. */
static size_t
choose(struct auth_exchange *e)
{
    struct auth_group *g = e->group;
    size_t second = g->pool_count;

    if (e->tried == (1u << g->pool_count) - 1)
        e->tried = 0;
    for (size_t i = 0; i < g->pool_count; i++) {
        if ((e->tried & 1u << i) != 0)
            continue;
        if (g->pools[i]->failed_until <= ev_now(g->loop))
            return i;
        if (second == g->pool_count)
            second = i;
    }
    return second;
}

static void
try_next(struct auth_exchange *e)
{
    struct auth_group *g = e->group;
    double left = e->ends - ev_now(g->loop);

    size_t server = choose(e);
    e->pool = g->pools[server];
    e->tried |= 1u << (unsigned)server;
    e->timer.repeat = left < g->timeout ? left : g->timeout;
    ev_timer_again(g->loop, &e->timer);
    e->conn = auth_pool_take(e->pool);
    if (e->conn != NULL)
        ask(e);
    else
        start_dial(e);
}

struct auth_exchange *
auth_exchange_start(struct auth_group *g, struct buf *fields, double seconds,
                    auth_done_fn done, void *arg)
{
    struct auth_exchange *e = spare_take(&spares);

    memset(e, 0, offsetof(struct auth_exchange, text));
    e->text[0] = '\0';
    e->group = auth_group_ref(g);
    e->fields = *fields;
    buf_init(fields, 0);
    buf_init(&e->request, (size_t)2 * AUTH_REQUEST_MAX);
    buf_init(&e->reply, HTTP_HEAD_MAX + READ_SIZE);
    ev_init(&e->timer, on_timeout);
    e->ends = ev_now(g->loop) + (seconds > 0.001 ? seconds : 0.001);
    e->tries_left = g->retries;
    e->done = done;
    e->arg = arg;
    try_next(e);
    return e;
}

void
auth_exchange_cancel(struct auth_exchange *e)
{
    exchange_free(e);
}
