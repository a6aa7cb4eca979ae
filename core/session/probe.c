#include "session/probe.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "net/proxy_header.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_MAX  ((size_t)16 * 1024)
#define OUTPUT_MAX ((size_t)2 * 1024)
#define READ_SIZE  4096
#define TIMEOUT    10.0

struct probe {
    struct sessions *home;
    const struct config *config;
    const struct listener_config *listener;
    struct target upstream; /* that is asked, or was asked last */
    ev_timer timer; /* the next probe, or the deadline of the running one */
    struct dial *dial;
    struct stream stream;
    ev_io watcher;
    struct arena arena;
    struct buf in, out, unused;
    struct dialog dialog;
};

struct probes {
    struct config *config;
    size_t count;
    struct probe *all;
};

/* Ends the running probe, if any, and sleeps until the next. */
static void
rest(struct probe *p, const char *why)
{
    if (why != NULL)
        log_info("listener %.*s: probe: %s", (int)p->listener->name.len,
                 p->listener->name.ptr, why);
    dial_cancel(p->dial);
    p->dial = NULL;
    ev_io_stop(p->home->loop, &p->watcher);
    stream_close(&p->stream);
    buf_deinit(&p->in);
    buf_deinit(&p->out);
    arena_wipe(&p->arena);
    p->timer.repeat = p->listener->probe_interval;
    ev_timer_again(p->home->loop, &p->timer);
}

static bool
write_out(struct probe *p)
{
    size_t moved = 0;

    while (!buf_is_empty(&p->out) &&
           stream_write(&p->stream, buf_bytes(&p->out), &moved) == IO_DONE)
        buf_consume(&p->out, moved);
    return buf_is_empty(&p->out);
}

/* Handles whole replies; false when the probe is over. */
static bool
handle(struct probe *p)
{
    struct dialog *d = &p->dialog;
    struct slice reply;

    for (;;) {
        enum parse parse = d->proto->frame_reply(d, buf_bytes(&p->in), &reply);
        if (parse == PARSE_MORE || parse == PARSE_PROMPT)
            return true;
        if (parse == PARSE_BAD) {
            rest(p, "the upstream answered with nonsense");
            return false;
        }
        size_t len = reply.len;
        enum ask ask = d->proto->on_reply(d, reply);
        buf_consume(&p->in, len);
        if (ask != ASK_INPUT) {
            bool polite = d->fault == FAULT_QUIT;
            if (polite) /* it fits into any socket's empty buffer */
                (void)write_out(p);
            rest(p, polite ? NULL : "the upstream refused to talk");
            return false;
        }
    }
}

static void
flush(struct probe *p)
{
    int events = EV_READ | (write_out(p) ? 0 : EV_WRITE);

    ev_io_stop(p->home->loop, &p->watcher);
    ev_io_set(&p->watcher, p->stream.fd, events);
    ev_io_start(p->home->loop, &p->watcher);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
    struct probe *p = container_of(w, struct probe, watcher);
    size_t room, moved = 0;

    (void)loop, (void)events;
    char *at = buf_reserve(&p->in, READ_SIZE, &room);
    if (at == NULL) {
        rest(p, "the upstream's reply is too long");
        return;
    }
    enum io io = stream_read(&p->stream, at, room, &moved);
    if (io == IO_EOF || io == IO_ERROR) {
        rest(p, "the upstream closed the connection");
        return;
    }
    if (io == IO_DONE)
        buf_filled(&p->in, moved);
    if (handle(p))
        flush(p);
}

/* There is no client behind a probe: LOCAL, or UNKNOWN in version 1. */
static bool
put_proxy_header(struct probe *p)
{
    static const struct proxy_header header = {.local = true};
    unsigned version = p->upstream.proxy_protocol;

    return version == 0 || proxy_header_write(&header, version, &p->out);
}

static void
on_dialled(void *arg, enum dial_status status, struct stream *stream,
           const struct addr *addr, const char *text)
{
    struct probe *p = arg;

    (void)addr;
    p->dial = NULL;
    if (status != DIAL_OK) {
        rest(p, text);
        return;
    }
    p->stream = *stream;
    if (!put_proxy_header(p)) {
        rest(p, "the PROXY header did not fit");
        return;
    }
    ev_io_init(&p->watcher, on_io, p->stream.fd, EV_READ);
    flush(p);
}

/* The listener's upstream; of a pool, a member that is up.  No session goes
 * there, so nothing is learnt about its health. */
static struct target
upstream_of(const struct probe *p)
{
    const struct target *to = &p->listener->upstream;
    const struct upstream_pool *u = config_pool(p->config, to->pool);
    struct pool_tries tries = {0};

    if (u == NULL)
        return *to;
    const struct pool_member *m = pool_choose(&u->pool, S(""), BALANCE_LEAST,
                                              ev_now(p->home->loop), &tries);
    require(m != NULL);
    struct target member = u->like;
    member.host = m->host;
    member.port = m->port;
    return member;
}

static void
start(struct probe *p)
{
    const struct listener_config *l = p->listener;
    char host[256];

    p->upstream = upstream_of(p);

    buf_init(&p->in, l->settings.reply_max);
    buf_init(&p->out, OUTPUT_MAX);
    p->dialog = (struct dialog){
        .proto = l->proto,
        .settings = &l->settings,
        .arena = &p->arena,
        .to_client = &p->unused,
        .to_upstream = &p->out,
        .learnt = sessions_learnt(p->home, l->name),
        .probing = true,
    };
    dialog_init(&p->dialog);
    (void)snprintf(host, sizeof host, "%.*s", (int)p->upstream.host.len,
                   p->upstream.host.ptr);
    struct dial_request request = {
        .host = host,
        .port = p->upstream.port > 0 ? p->upstream.port : l->proto->port,
        .timeout = TIMEOUT,
    };
    if (slice_has_prefix(p->upstream.host, S("unix:")))
        request.port = 0;
    p->dial = dial_start(p->home->loop, p->home->dns, &request, on_dialled, p);
    p->timer.repeat = TIMEOUT;
    ev_timer_again(p->home->loop, &p->timer);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct probe *p = container_of(w, struct probe, timer);

    (void)loop, (void)events;
    if (p->dial != NULL || stream_is_open(&p->stream))
        rest(p, "the upstream took too long");
    else
        start(p);
}

struct probes *
probes_new(struct sessions *home, struct config *config)
{
    struct probes *probes = xcalloc(1, sizeof *probes);

    probes->config = config_ref(config);
    probes->all = xcalloc(config->listener_count, sizeof *probes->all);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *l = &config->listeners[i];
        if (l->probe_interval <= 0 || !target_is_set(&l->upstream))
            continue;
        struct probe *p = &probes->all[probes->count++];
        p->home = home;
        p->config = config;
        p->listener = l;
        p->stream.fd = -1;
        arena_init(&p->arena, ARENA_MAX);
        ev_init(&p->watcher, on_io);
        ev_init(&p->timer, on_timer);
        start(p);
    }
    return probes;
}

void
probes_free(struct probes *probes)
{
    if (probes == NULL)
        return;
    for (size_t i = 0; i < probes->count; i++) {
        struct probe *p = &probes->all[i];
        rest(p, NULL);
        ev_timer_stop(p->home->loop, &p->timer);
    }
    config_unref(probes->config);
    free(probes->all);
    free(probes);
}
