#include "lua/reach.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "net/proxy_header.h"
#include "net/stream_tls.h"
#include "proto/dialog.h"

#include <stdio.h>

#define ARENA_MAX  ((size_t)32 * 1024)
#define OUTPUT_MAX ((size_t)4 * 1024)
#define REPLY_MAX  ((size_t)16 * 1024)
#define READ_SIZE  4096

struct attempt {
    const struct reach_order *order;
    struct reach_result *result;
    struct ev_loop *loop;
    bool over, shaking;
    struct dial *dial;
    struct stream stream;
    ev_io io;
    ev_timer limit;
    struct arena arena;
    struct buf in, out, unused;
    struct proto_settings settings;
    struct capabilities learnt;
    struct dialog dialog;
};

static void
conclude(struct attempt *a, const char *why)
{
    struct reach_result *r = a->result;

    r->done = why == NULL;
    if (why != NULL)
        (void)log_escape(slice_of(why), r->text, sizeof r->text);
    a->over = true;
}

static bool
write_out(struct attempt *a)
{
    size_t moved = 0;

    while (!buf_is_empty(&a->out) &&
           stream_write(&a->stream, buf_bytes(&a->out), &moved) == IO_DONE)
        buf_consume(&a->out, moved);
    return buf_is_empty(&a->out);
}

static void
watch(struct attempt *a, int events)
{
    ev_io_stop(a->loop, &a->io);
    ev_io_set(&a->io, a->stream.fd, events | (int)a->stream.wants);
    ev_io_start(a->loop, &a->io);
}

static const char *
fault_text(const struct dialog *d)
{
    switch (d->fault) {
    case FAULT_QUIT:
        return NULL; /* it took leave as it should */
    case FAULT_GREETING:
    case FAULT_BYE:
        return "it greets with a refusal";
    case FAULT_NO_STARTTLS:
        return "it does not offer STARTTLS";
    case FAULT_PREAUTH:
        return "it greets with PREAUTH, where STARTTLS is not possible";
    case FAULT_NO_LOGIN:
    case FAULT_NONE:
    case FAULT_ABUSE:
    case FAULT_GARBAGE:
    case FAULT_RESOURCES:
        break;
    }
    return "it answers with what is not its protocol";
}

static void begin_tls(struct attempt *a);

/* All whole replies that have come. */
static void
hear(struct attempt *a)
{
    struct dialog *d = &a->dialog;
    struct slice reply;

    while (!a->over && !a->shaking) {
        enum parse parse = d->proto->frame_reply(d, buf_bytes(&a->in), &reply);
        if (parse == PARSE_MORE || parse == PARSE_PROMPT)
            return;
        if (parse == PARSE_BAD) {
            conclude(a, "it answers with what is not its protocol");
            return;
        }
        size_t len = reply.len;
        enum ask ask = d->proto->on_reply(d, reply);
        buf_consume(&a->in, len);
        if (ask == ASK_STARTTLS)
            begin_tls(a);
        else if (ask != ASK_INPUT)
            conclude(a, fault_text(d));
    }
}

/* TLS is up, or not needed. */
static void
talk(struct attempt *a)
{
    if (a->dialog.proto == NULL) {
        conclude(a, NULL);
        return;
    }
    if (a->order->tls == TLS_STARTTLS && *a->result->tls != '\0')
        (void)a->dialog.proto->on_upstream_secured(&a->dialog);
    watch(a, EV_READ | (write_out(a) ? 0 : EV_WRITE));
}

static void
note_tls(struct attempt *a)
{
    struct tls_facts facts;

    if (!stream_tls_facts(&a->stream, &a->arena, &facts))
        return;
    (void)snprintf(a->result->tls, sizeof a->result->tls, "%.*s %.*s",
                   (int)facts.version.len, facts.version.ptr,
                   (int)facts.cipher.len, facts.cipher.ptr);
}

static void
shake(struct attempt *a)
{
    switch (stream_handshake(&a->stream)) {
    case IO_DONE:
        a->shaking = false;
        note_tls(a);
        talk(a);
        return;
    case IO_AGAIN:
        watch(a, 0);
        return;
    case IO_EOF:
    case IO_ERROR:
        conclude(a, stream_tls_failure(&a->stream));
        return;
    }
    unreachable();
}

static void
begin_tls(struct attempt *a)
{
    if (!buf_is_empty(&a->in)) {
        conclude(a, "it sends plaintext behind its go-ahead for TLS");
        return;
    }
    if (!stream_start_tls_client(&a->stream, a->order->context,
                                 &a->order->target)) {
        conclude(a, "TLS can't be started with it");
        return;
    }
    a->shaking = true;
    shake(a);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct attempt *a = container_of(w, struct attempt, io);
    size_t room, moved = 0;

    (void)loop, (void)events;
    if (a->shaking) {
        shake(a);
        return;
    }
    do {
        char *at = buf_reserve(&a->in, READ_SIZE, &room);
        enum io io =
            at == NULL ? IO_ERROR : stream_read(&a->stream, at, room, &moved);
        if (io == IO_EOF || io == IO_ERROR) {
            conclude(a, "it closes the connection");
            return;
        }
        if (io == IO_AGAIN)
            break;
        buf_filled(&a->in, moved);
        hear(a);
    } while (!a->over && !a->shaking && stream_has_more(&a->stream));
    if (!a->over && !a->shaking)
        watch(a, EV_READ | (write_out(a) ? 0 : EV_WRITE));
}

static void
on_dialled(void *arg, enum dial_status status, struct stream *stream,
           const struct addr *addr, const char *text)
{
    static const struct proxy_header header = {.local = true};
    struct attempt *a = arg;
    unsigned version = a->order->proxy_protocol;

    a->dial = NULL;
    if (status != DIAL_OK) {
        conclude(a, text);
        return;
    }
    a->stream = *stream;
    (void)addr_format(addr, a->result->address);
    ev_io_init(&a->io, on_io, a->stream.fd, EV_READ);
    if (version != 0 &&
        (!proxy_header_write(&header, version, &a->out) || !write_out(a))) {
        conclude(a, "it takes no PROXY header");
        return;
    }
    if (a->order->tls == TLS_IMPLICIT)
        begin_tls(a);
    else
        talk(a);
}

static void
on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
    struct attempt *a = container_of(w, struct attempt, limit);
    char text[64];

    (void)loop, (void)events;
    (void)snprintf(text, sizeof text, "no answer within %g s%s",
                   a->order->timeout, a->shaking ? ", in the handshake" : "");
    conclude(a, text);
}

static void
prepare_dialog(struct attempt *a)
{
    a->settings = (struct proto_settings){
        .server_name = S("moongate"),
        .reply_max = REPLY_MAX,
    };
    a->dialog = (struct dialog){
        .proto = a->order->proto,
        .settings = &a->settings,
        .arena = &a->arena,
        .to_client = &a->unused,
        .to_upstream = &a->out,
        .learnt = &a->learnt,
        .probing = true,
    };
    if (a->order->proto == NULL)
        return;
    dialog_init(&a->dialog);
    a->dialog.upstream_starttls = a->order->tls == TLS_STARTTLS;
}

void
reach(struct ev_loop *loop, struct dns *dns, const struct reach_order *order,
      struct reach_result *result)
{
    struct attempt a = {.order = order, .result = result, .loop = loop};
    struct dial_request request = {
        .host = order->host, .port = order->port, .timeout = order->timeout};

    *result = (struct reach_result){0};
    a.stream.fd = -1;
    arena_init(&a.arena, ARENA_MAX);
    buf_init(&a.in, REPLY_MAX);
    buf_init(&a.out, OUTPUT_MAX);
    buf_init(&a.unused, OUTPUT_MAX);
    prepare_dialog(&a);
    ev_init(&a.io, on_io);
    ev_timer_init(&a.limit, on_limit, order->timeout, 0.);
    ev_now_update(loop);
    ev_timer_start(loop, &a.limit);
    a.dial = dial_start(loop, dns, &request, on_dialled, &a);
    while (!a.over)
        (void)ev_run(loop, EVRUN_ONCE);
    dial_cancel(a.dial);
    ev_timer_stop(loop, &a.limit);
    ev_io_stop(loop, &a.io);
    if (stream_is_open(&a.stream) && !a.shaking)
        (void)write_out(&a); /* takes leave */
    stream_close(&a.stream);
    buf_deinit(&a.in);
    buf_deinit(&a.out);
    buf_deinit(&a.unused);
    arena_wipe(&a.arena);
}
