/* side.c -- see side.h.  The one file that starts and stops io watchers. */
#include "session/side.h"

#include "base/check.h"
#include "session/sessions.h"

#define READ_SIZE 1024 /* more than most lines of a login */

void
side_fill(struct side *side, struct buf *into)
{
    size_t room, moved;
    char *at = buf_reserve(into, READ_SIZE, &room);

    if (at == NULL || side->eof || side->broken)
        return;
    switch (stream_read(&side->stream, at, room, &moved)) {
    case IO_DONE:
        buf_filled(into, moved);
        return;
    case IO_AGAIN:
        return;
    case IO_EOF:
        side->eof = true;
        return;
    case IO_ERROR:
        side->broken = true;
        return;
    }
    unreachable();
}

bool
side_flush(struct side *side, struct buf *out)
{
    while (!buf_is_empty(out) && !side->broken) {
        size_t moved;
        enum io result = stream_write(&side->stream, buf_bytes(out), &moved);
        if (result == IO_AGAIN)
            return false;
        if (result == IO_DONE)
            buf_discard(out, moved);
        else
            side->broken = true;
    }
    if (side->broken)
        buf_discard(out, buf_len(out));
    return true;
}

void
side_tune(struct side *side)
{
    if (side->untuned)
        stream_tune(&side->stream);
    side->untuned = false;
}

void
side_close(struct side *side, struct ev_loop *loop)
{
    ev_io_stop(loop, &side->watcher);
    stream_close(&side->stream);
}

/* SPLICE keeps bytes in the kernel until they can move; before it they are
 * read into the login's buffers.  TLS may have waited to write in order to
 * read, or the other way round. */
static void
note(struct side *side, struct buf *into, int events)
{
    bool any = !stream_is_plain(&side->stream);

    if (into == NULL) {
        side->readable |= any || (events & EV_READ) != 0;
        side->writable |= any || (events & EV_WRITE) != 0;
    } else if (any || (events & EV_READ)) {
        side_fill(side, into);
    }
}

/* What the client sends is for the PROXY header or the handshake to read. */
static bool
client_is_raw(const struct session *s)
{
    const struct login_state *login = s->login;

    return login->shaking || (login->starttls && !login->dialog.secure) ||
           (s->listener->proxy.expected && !login->proxied);
}

static struct buf *
client_input(struct session *s)
{
    if (s->login == NULL || client_is_raw(s))
        return NULL;
    return &s->login->from_client;
}

static struct buf *
upstream_input(struct session *s)
{
    if (s->login == NULL || s->login->upstream_shaking)
        return NULL;
    return &s->login->from_upstream;
}

/* One read of what the TLS of a side holds, of which no event tells. */
static bool
take_more(struct side *side, struct buf *into)
{
    if (into == NULL || side->eof || side->broken || buf_room(into) == 0 ||
        !stream_is_open(&side->stream) || !stream_has_more(&side->stream))
        return false;
    size_t before = buf_len(into);
    side_fill(side, into);
    return buf_len(into) > before || side->eof || side->broken;
}

bool
session_take_more(struct session *s)
{
    if (s->login == NULL || s->phase == PHASE_CLOSE)
        return false;
    bool client = take_more(&s->client, client_input(s));
    return take_more(&s->upstream, upstream_input(s)) || client;
}

static void
on_client_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct side *side = container_of(w, struct side, watcher);
    struct session *s = container_of(side, struct session, client);

    (void)loop;
    note(side, client_input(s), events);
    session_run(s);
}

static void
on_upstream_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct side *side = container_of(w, struct side, watcher);
    struct session *s = container_of(side, struct session, upstream);

    (void)loop;
    note(side, upstream_input(s), events);
    session_run(s);
}

void
session_client_open(struct session *s, int fd)
{
    stream_open_plain(&s->client.stream, fd);
    ev_io_init(&s->client.watcher, on_client_io, fd, 0);
}

void
session_upstream_open(struct session *s, const struct stream *stream)
{
    s->upstream = (struct side){.stream = *stream};
    ev_io_init(&s->upstream.watcher, on_upstream_io, stream->fd, 0);
    /* Without the mark that the descriptor may be another: the loop knows it
     * from the dial, and would tell the kernel once more. */
    s->upstream.watcher.events = 0;
}

static void
set_interest(struct ev_loop *loop, struct side *side, int events)
{
    ev_io *w = &side->watcher;

    if (!stream_is_open(&side->stream) || side->broken)
        events = 0;
    if (ev_is_active(w) ? (w->events & (EV_READ | EV_WRITE)) == events
                        : events == 0)
        return;
    ev_io_stop(loop, w);
    if (events == 0)
        return;
    ev_io_modify(w, events);
    ev_io_start(loop, w);
}

/* Before SPLICE: input while there is room for it, output while some waits. */
static int
interest(const struct side *side, const struct buf *in, const struct buf *out)
{
    int events = buf_is_empty(out) ? 0 : EV_WRITE;

    if (!side->eof && buf_room(in) > 0)
        events |= EV_READ;
    return events == 0 ? 0 : events | (int)side->stream.wants;
}

static int
client_interest(const struct session *s)
{
    const struct login_state *login = s->login;

    if (login->shaking)
        return (int)s->client.stream.wants;
    if (login->starttls && !login->dialog.secure)
        return EV_WRITE; /* the go-ahead must go out first */
    if (client_is_raw(s))
        return EV_READ;
    return interest(&s->client, &login->from_client, &login->to_client);
}

static int
upstream_interest(const struct session *s)
{
    const struct login_state *login = s->login;

    if (login->upstream_shaking)
        return (int)s->upstream.stream.wants;
    return interest(&s->upstream, &login->from_upstream, &login->to_upstream);
}

/* SPLICE: a source is read while its channel holds nothing. */
static int
relay_interest(const struct side *side, const struct channel *from,
               const struct channel *to)
{
    int events = to->held != NULL ? EV_WRITE : 0;

    if (!from->eof && from->held == NULL)
        events |= EV_READ;
    return events == 0 ? 0 : events | (int)side->stream.wants;
}

void
session_watch(struct session *s)
{
    struct ev_loop *loop = s->home->loop;
    struct login_state *login = s->login;

    if (login == NULL) {
        bool closing = s->phase == PHASE_CLOSE;
        set_interest(loop, &s->client,
                     closing ? 0
                             : relay_interest(&s->client, &s->up, &s->down));
        set_interest(loop, &s->upstream,
                     closing ? 0
                             : relay_interest(&s->upstream, &s->down, &s->up));
        return;
    }
    int client = client_interest(s);
    set_interest(loop, &s->client, client);
    if (client == 0 && !s->client.broken)
        sessions_sweep(s->home);
    if (stream_is_open(&s->upstream.stream))
        set_interest(loop, &s->upstream, upstream_interest(s));
}
