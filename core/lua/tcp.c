#include "lua/tcp.h"

#include "base/slice.h"
#include "net/stream_tls.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define READ_SIZE    16384
#define READS_A_TURN 16

static void
stop(struct tcp *t)
{
    ev_io_stop(t->loop, &t->io);
    ev_timer_stop(t->loop, &t->timer);
}

static enum tcp_state
failed(struct tcp *t, enum failure kind, const char *text)
{
    t->kind = kind;
    (void)snprintf(t->text, sizeof(t->text), "%s", text);
    return TCP_FAILED;
}

/* Ends the operation that waited. */
static void
end(struct tcp *t, enum tcp_state state)
{
    stop(t);
    if (state == TCP_FAILED &&
        (t->doing == TCP_SEND || t->doing == TCP_HANDSHAKE))
        stream_close(&t->stream);
    t->done(t, state);
}

static enum tcp_state
failed_by_error(struct tcp *t, int error)
{
    char text[256];

    if (stream_is_plain(&t->stream))
        return failed(t, FAILURE_CLOSED, strerror(error));
    (void)snprintf(text, sizeof text, "TLS: %s",
                   stream_tls_failure(&t->stream));
    return failed(t, FAILURE_TLS, text);
}

/* What the operation under way waits for. */
static int
wanted_events(const struct tcp *t)
{
    int wants = (int)t->stream.wants;

    switch (t->doing) {
    case TCP_SEND:
        return EV_WRITE | wants;
    case TCP_RECEIVE:
        return EV_READ | wants;
    case TCP_HANDSHAKE:
    case TCP_NOTHING:
    case TCP_CONNECT:
        break;
    }
    return wants;
}

static void
wait_on(struct tcp *t)
{
    int events = wanted_events(t);

    if (!ev_is_active(&t->io) ||
        (t->io.events & (EV_READ | EV_WRITE)) != events) {
        ev_io_stop(t->loop, &t->io);
        ev_io_set(&t->io, t->stream.fd, events);
        ev_io_start(t->loop, &t->io);
    }
    /* What TLS holds back no event will tell of. */
    if (t->doing == TCP_RECEIVE && stream_has_more(&t->stream))
        ev_feed_event(t->loop, &t->io, EV_READ);
}

static void
set_timer(struct tcp *t, double seconds)
{
    t->timer.repeat = seconds;
    ev_timer_again(t->loop, &t->timer);
}

static bool
take_line(struct slice in, struct slice *bytes, size_t *used)
{
    size_t at = slice_find(in, '\n');

    if (at == in.len)
        return false;
    *used = at + 1;
    *bytes = slice_take(in, at);
    (void)slice_drop_suffix(bytes, S("\r"));
    return true;
}

static bool
take_until(const struct tcp *t, struct slice in, struct slice *bytes,
           size_t *used)
{
    const char *at = memmem(in.ptr, in.len, t->pattern.ptr, t->pattern.len);

    if (at == NULL)
        return false;
    *bytes = slice_take(in, (size_t)(at - in.ptr));
    *used = bytes->len + t->pattern.len;
    return true;
}

bool
tcp_take(const struct tcp *t, struct slice *bytes, size_t *used)
{
    struct slice in = buf_bytes(&t->in);

    switch (t->want) {
    case TCP_LINE:
        return take_line(in, bytes, used);
    case TCP_UNTIL:
        return take_until(t, in, bytes, used);
    case TCP_BYTES:
        *bytes = slice_take(in, t->want_bytes);
        *used = bytes->len;
        return *used == t->want_bytes;
    case TCP_ANY:
        *bytes = slice_take(in, t->want_bytes);
        *used = bytes->len;
        return *used > 0;
    case TCP_ALL:
        *bytes = in;
        *used = in.len;
        return t->eof;
    }
    return false;
}

static enum tcp_state
read_once(struct tcp *t)
{
    size_t room, moved = 0;
    char *into = buf_reserve(&t->in, READ_SIZE, &room);

    if (into == NULL)
        return failed(t, FAILURE_PROTOCOL, "more than 1 MiB without an end");
    switch (stream_read(&t->stream, into, room, &moved)) {
    case IO_DONE:
        buf_filled(&t->in, moved);
        return TCP_READY;
    case IO_AGAIN:
        return TCP_WAIT;
    case IO_EOF:
        t->eof = true;
        return TCP_READY;
    case IO_ERROR:
        break;
    }
    t->eof = true;
    return failed_by_error(t, errno);
}

static enum tcp_state
read_wanted(struct tcp *t)
{
    struct slice bytes;
    size_t used;

    for (int i = 0; i < READS_A_TURN; i++) {
        if (tcp_take(t, &bytes, &used))
            return TCP_READY;
        if (t->eof)
            return failed(t, FAILURE_CLOSED, "closed");
        enum tcp_state state = read_once(t);
        if (state != TCP_READY)
            return state;
    }
    return TCP_WAIT;
}

static enum tcp_state
write_all(struct tcp *t)
{
    while (!buf_is_empty(&t->out)) {
        size_t moved = 0;
        enum io io = stream_write(&t->stream, buf_bytes(&t->out), &moved);
        if (io == IO_AGAIN)
            return TCP_WAIT;
        if (io != IO_DONE)
            return failed_by_error(t, errno);
        buf_discard(&t->out, moved);
    }
    return TCP_READY;
}

static enum tcp_state
shake_hands(struct tcp *t)
{
    switch (stream_handshake(&t->stream)) {
    case IO_DONE:
        return TCP_READY;
    case IO_AGAIN:
        return TCP_WAIT;
    case IO_EOF:
    case IO_ERROR:
        break;
    }
    return failed_by_error(t, errno);
}

static enum tcp_state
go_on(struct tcp *t)
{
    switch (t->doing) {
    case TCP_SEND:
        return write_all(t);
    case TCP_HANDSHAKE:
        return shake_hands(t);
    case TCP_RECEIVE:
    case TCP_NOTHING:
    case TCP_CONNECT:
        break;
    }
    return read_wanted(t);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct tcp *t = container_of(w, struct tcp, io);
    enum tcp_state state = go_on(t);

    (void)loop;
    (void)events;
    if (state == TCP_WAIT)
        wait_on(t);
    else
        end(t, state);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    struct tcp *t = container_of(w, struct tcp, timer);

    (void)loop;
    (void)events;
    end(t, failed(t, FAILURE_TIMEOUT, "timed out"));
}

static void
on_dialed(void *arg, enum dial_status status, struct stream *stream,
          const struct addr *addr, const char *text)
{
    struct tcp *t = arg;

    (void)addr;
    t->dial = NULL;
    switch (status) {
    case DIAL_OK:
        t->stream = *stream;
        end(t, TCP_READY);
        return;
    case DIAL_TIMEOUT:
        end(t, failed(t, FAILURE_TIMEOUT, text));
        return;
    case DIAL_DNS:
        end(t, failed(t, FAILURE_DNS, text));
        return;
    case DIAL_REFUSED:
    case DIAL_FAILED:
        break;
    }
    end(t, failed(t, FAILURE_CONNECT, text));
}

void
tcp_init(struct tcp *t, struct ev_loop *loop, struct dns *dns,
         void (*done)(struct tcp *t, enum tcp_state state))
{
    *t = (struct tcp){.loop = loop, .dns = dns, .done = done};
    t->stream.fd = -1;
    buf_init(&t->in, TCP_BUFFER_MAX);
    buf_init(&t->out, TCP_BUFFER_MAX);
    ev_init(&t->io, on_io);
    ev_init(&t->timer, on_timeout);
}

void
tcp_close(struct tcp *t)
{
    if (t->loop != NULL)
        stop(t);
    dial_cancel(t->dial);
    t->dial = NULL;
    stream_close(&t->stream);
    buf_deinit(&t->in);
    buf_deinit(&t->out);
    t->doing = TCP_NOTHING;
    t->eof = false;
}

enum tcp_state
tcp_connect(struct tcp *t, const char *host, uint16_t port, double timeout)
{
    struct dial_request request = {
        .host = host, .port = port, .timeout = timeout};

    tcp_close(t);
    t->doing = TCP_CONNECT;
    t->dial = dial_start(t->loop, t->dns, &request, on_dialed, t);
    return TCP_WAIT;
}

enum tcp_state
tcp_send(struct tcp *t, double timeout)
{
    enum tcp_state state = write_all(t);

    if (state == TCP_FAILED)
        stream_close(&t->stream);
    if (state != TCP_WAIT)
        return state;
    t->doing = TCP_SEND;
    wait_on(t);
    set_timer(t, timeout);
    return TCP_WAIT;
}

enum tcp_state
tcp_send_now(struct tcp *t)
{
    enum tcp_state state = write_all(t);

    if (state == TCP_WAIT)
        state = failed(t, FAILURE_OVERLOAD, "the peer does not read");
    if (state == TCP_FAILED)
        (void)shutdown(t->stream.fd, SHUT_RDWR);
    return state;
}

enum tcp_state
tcp_receive(struct tcp *t, double timeout)
{
    enum tcp_state state = read_wanted(t);

    if (state != TCP_WAIT)
        return state;
    t->doing = TCP_RECEIVE;
    wait_on(t);
    set_timer(t, timeout);
    return TCP_WAIT;
}

enum tcp_state
tcp_handshake(struct tcp *t, double timeout)
{
    enum tcp_state state = shake_hands(t);

    if (state == TCP_FAILED)
        stream_close(&t->stream);
    if (state != TCP_WAIT)
        return state;
    t->doing = TCP_HANDSHAKE;
    wait_on(t);
    set_timer(t, timeout);
    return TCP_WAIT;
}

bool
tcp_is_silent(struct tcp *t)
{
    char byte;
    size_t moved = 0;

    return t->doing == TCP_NOTHING && !t->eof && buf_is_empty(&t->in) &&
           stream_read(&t->stream, &byte, 1, &moved) == IO_AGAIN;
}
