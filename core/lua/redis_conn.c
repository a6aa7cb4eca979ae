#include "lua/redis_conn.h"

#include "base/slice.h"
#include "net/stream_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_SIZE 16384

static void
watch(struct redis_conn *c, int events)
{
    ev_io *io = &c->io;

    if (ev_is_active(io) && (io->events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(c->loop, io);
    ev_io_set(io, c->stream.fd, events);
    ev_io_start(c->loop, io);
}

static void
lost(struct redis_conn *c, enum failure kind, const char *problem)
{
    char text[256];

    /* The words die with the connection. */
    (void)snprintf(text, sizeof text, "%s", problem);
    c->on_lost(c->arg, kind, text);
}

static void
lost_by_error(struct redis_conn *c, int error)
{
    char text[256];

    if (stream_is_plain(&c->stream)) {
        lost(c, FAILURE_CLOSED, strerror(error));
        return;
    }
    (void)snprintf(text, sizeof text, "TLS: %s",
                   stream_tls_failure(&c->stream));
    lost(c, FAILURE_TLS, text);
}

/* All whole answers; false: the connection is another's. */
static bool
hand_out(struct redis_conn *c)
{
    struct redis_reply *reply;

    for (;;) {
        switch (redis_reader_next(c->reader, &reply)) {
        case PARSE_DONE:
            if (!c->on_reply(c->arg, reply))
                return false;
            break;
        case PARSE_MORE:
        case PARSE_PROMPT:
            return true;
        case PARSE_BAD:
            lost(c, FAILURE_PROTOCOL, redis_reader_problem(c->reader));
            return false;
        }
    }
}

/* Whether the connection is still the user's. */
static bool
read_some(struct redis_conn *c)
{
    char block[READ_SIZE];
    size_t moved = 0;

    switch (stream_read(&c->stream, block, sizeof block, &moved)) {
    case IO_AGAIN:
        return true;
    case IO_DONE:
        if (!redis_reader_feed(c->reader, (struct slice){block, moved})) {
            lost(c, FAILURE_PROTOCOL, redis_reader_problem(c->reader));
            return false;
        }
        return hand_out(c);
    case IO_EOF:
        lost(c, FAILURE_CLOSED, "the server has closed the connection");
        return false;
    case IO_ERROR:
        lost_by_error(c, errno);
        return false;
    }
    unreachable();
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct redis_conn *c = container_of(w, struct redis_conn, io);

    (void)loop;
    (void)events;
    if (c->failed) {
        lost_by_error(c, EPIPE);
        return;
    }
    if (!c->shaking) {
        do {
            if (!read_some(c))
                return;
        } while (stream_has_more(&c->stream));
    }
    redis_conn_flush(c);
}

struct redis_conn *
redis_conn_new(struct ev_loop *loop, struct stream stream)
{
    struct redis_conn *c = xcalloc(1, sizeof *c);

    c->loop = loop;
    c->stream = stream;
    c->reader = redis_reader_new();
    list_init(&c->link);
    buf_init(&c->out, REDIS_REQUEST_MAX);
    ev_init(&c->io, on_io);
    ev_timer_init(&c->timer, NULL, 0., 0.);
    return c;
}

void
redis_conn_close(struct redis_conn *c)
{
    if (c == NULL)
        return;
    ev_io_stop(c->loop, &c->io);
    ev_timer_stop(c->loop, &c->timer);
    list_remove(&c->link);
    stream_close(&c->stream);
    redis_reader_free(c->reader);
    buf_deinit(&c->out);
    free(c);
}

void
redis_conn_use(struct redis_conn *c, redis_reply_fn on_reply,
               redis_lost_fn on_lost, void *arg)
{
    c->on_reply = on_reply;
    c->on_lost = on_lost;
    c->arg = arg;
    c->sent = 0;
}

/* An event tells the user of it: he may be in the middle of something. */
static void
fail_later(struct redis_conn *c)
{
    c->failed = true;
    watch(c, EV_READ);
    ev_feed_event(c->loop, &c->io, EV_READ);
}

/* Nothing is sent before the server has proven who it is. */
static bool
shake_hands(struct redis_conn *c)
{
    switch (stream_handshake(&c->stream)) {
    case IO_DONE:
        c->shaking = false;
        return true;
    case IO_AGAIN:
        watch(c, (int)c->stream.wants);
        return false;
    case IO_EOF:
    case IO_ERROR:
        fail_later(c);
        return false;
    }
    unreachable();
}

void
redis_conn_flush(struct redis_conn *c)
{
    if (c->failed || (c->shaking && !shake_hands(c)))
        return;
    while (!buf_is_empty(&c->out)) {
        size_t moved = 0;
        enum io io = stream_write(&c->stream, buf_bytes(&c->out), &moved);
        if (io == IO_AGAIN)
            break;
        if (io != IO_DONE) {
            fail_later(c);
            return;
        }
        c->sent += moved;
        buf_discard(&c->out, moved);
    }
    int events = buf_is_empty(&c->out) ? EV_READ : EV_READ | EV_WRITE;
    watch(c, events | (int)c->stream.wants);
    /* What TLS holds back no event will tell of. */
    if (stream_has_more(&c->stream))
        ev_feed_event(c->loop, &c->io, EV_READ);
}

bool
redis_conn_is_silent(struct redis_conn *c)
{
    char byte;
    size_t moved = 0;

    return !c->failed && redis_reader_is_empty(c->reader) &&
           stream_read(&c->stream, &byte, 1, &moved) == IO_AGAIN;
}
