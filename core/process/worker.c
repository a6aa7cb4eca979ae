#include "process/worker.h"

#include "base/digest.h"
#include "base/slice.h"
#include "lua/bundle.h"
#include "lua/certificates.h"
#include "lua/lasting.h"
#include "lua/local_lease.h"
#include "lua/memo.h"
#include "lua/policy_lua.h"
#include "lua/renewal.h"
#include "net/dns.h"
#include "net/tls_cache.h"
#include "process/acceptors.h"
#include "process/control_words.h"
#include "process/generations.h"
#include "process/log_writer.h"
#include "process/role.h"
#include "process/session_asks.h"
#include "process/spawn.h"
#include "process/worker_link.h"
#include "process/worker_setup.h"
#include "process/worker_trace.h"
#include "proto/scram.h"
#include "session/probe.h"
#include "session/sessions.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_KEPT   (8 * 1024 * 1024)
#define WHY_MAX       ((size_t)8192) /* bytes of what is wrong */
#define FLUSH_LIMIT   1.             /* seconds for the last log lines */
#define EXPIRY_PERIOD 86400.
/* Descriptors that are not of sessions: pipes, auth servers, the log. */
#define DESCRIPTORS_KEPT 256

/* A dict that was handed over and is not open yet. */
struct handed_dict {
    struct handed_dict *next;
    char *name;
    int fd;
};

struct worker {
    struct worker_setup setup;
    struct ev_loop *loop;
    ev_io messages;
    ev_timer deadline; /* of a drain */
    ev_timer expiry;   /* when certificates are looked at again */
    struct acceptors acceptors;
    struct host host;
    struct tls_cache *tls_cache;
    struct dns *dns;
    struct session_asks *asks;
    struct worker_link *link; /* NULL until it is ready */
    struct worker_trace trace;
    struct lasting *lasting;
    struct handed_dict *dicts;
    struct generations generations;
    size_t descriptors; /* limit of open ones */
    bool ready;
    int status;
};

/* --- telling the supervisor --- */

static void
tell(enum message_type type)
{
    struct message m;
    struct error err;

    message_init(&m, type);
    if (!message_send(SPAWN_FD, &m, &err))
        log_error("%s", err.text);
}

/* The supervisor logs it; our own log may not be there yet. */
static bool
fail(const char *why)
{
    struct message m;
    struct error err;

    message_init(&m, MESSAGE_FAILED);
    message_put_text(&m, slice_of(why));
    if (!message_send(SPAWN_FD, &m, &err))
        log_error("%s", why);
    return false;
}

/* --- what the supervisor tells --- */

static bool
take_socket(struct worker *w, struct message *m)
{
    unsigned socket = (unsigned)message_get_u64(m);
    unsigned slot = (unsigned)message_get_u64(m);

    if (!message_is_whole(m))
        return false;
    acceptors_add(&w->acceptors, socket, slot, message_take_fd(m, 0));
    return true;
}

/* Opened when privileges have been given up. */
static bool
take_dict(struct worker *w, struct message *m)
{
    struct slice name = message_get_text(m);
    struct handed_dict *d = xcalloc(1, sizeof *d);

    d->name = xstrndup(name.ptr, name.len);
    d->fd = message_take_fd(m, 0);
    d->next = w->dicts;
    w->dicts = d;
    return message_is_whole(m);
}

static bool
take_reaped(struct worker *w, struct message *m)
{
    struct dict_holder next;

    next.worker = (uint32_t)message_get_u64(m);
    next.process = (uint32_t)message_get_u64(m);
    if (!message_is_whole(m))
        return false;
    shared_reap(w->lasting->shared, next);
    local_leases_settle(w->lasting->shared);
    return true;
}

static struct generation *
current(const struct worker *w)
{
    return generations_current(&w->generations);
}

static bool
take_deployment(struct worker *w, struct message *m)
{
    struct deployment d;
    bool valid = deployment_get(&d, m) && message_is_whole(m);

    if (!valid)
        deployment_deinit(&d);
    else
        generations_prepare(&w->generations, &d, message_take_fd(m, 0));
    return valid;
}

static bool
take_commit(struct worker *w, struct message *m)
{
    unsigned generation = (unsigned)message_get_u64(m);
    struct message serving;
    struct error err;

    if (!message_is_whole(m) ||
        !generations_commit(&w->generations, generation))
        return false;
    message_init(&serving, MESSAGE_SERVING);
    message_put_u64(&serving, generation);
    if (!message_send(SPAWN_FD, &serving, &err))
        log_error("%s", err.text);
    return true;
}

static bool
take_abort(struct worker *w, struct message *m)
{
    generations_abort(&w->generations, (unsigned)message_get_u64(m));
    acceptors_renew(&w->acceptors);
    return message_is_whole(m);
}

/* One worker tells for all of them. */
static void
warn_of_expiry(const struct worker *w)
{
    if (w->setup.number == 1)
        certificates_warn(generation_config(current(w))->own, time(NULL));
}

static void
on_expiry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    warn_of_expiry(container_of(timer, struct worker, expiry));
}

static bool
take_certificates(struct worker *w, struct message *m)
{
    int fd = message_take_fd(m, 0);
    struct error err = {""};
    struct bundle *bundle = bundle_open(fd, &err);
    size_t count = 0;

    (void)close(fd);
    if (bundle == NULL || !renewal_take(current(w), bundle, &count, &err)) {
        log_error("certificates: the old ones stay: %s", err.text);
    } else if (w->setup.number == 1) {
        log_info("certificates: %zu listeners have new ones", count);
        warn_of_expiry(w);
    }
    if (bundle != NULL)
        bundle_close(bundle);
    return message_is_whole(m);
}

static bool
take_staple(struct worker *w, struct message *m)
{
    struct slice name = message_get_text(m), der = message_get_text(m);
    const struct certificates *own = generation_config(current(w))->own;
    struct error err;

    if (!message_is_whole(m))
        return false;
    if (!certificates_staple(own, name, der, time(NULL), &err))
        log_warn("certificate %.*s: its status can't be shown: %s",
                 (int)name.len, name.ptr, err.text);
    return true;
}

static bool
take_purge(struct worker *w, struct message *m)
{
    struct purge purge;

    if (!purge_get(&purge, m))
        return false;
    memos_purge(w->lasting, purge.name, purge.key);
    return message_is_whole(m);
}

static bool
take_control(struct worker *w, struct message *m)
{
    if (w->link == NULL || !message_is_whole(m))
        return false;
    worker_link_attach(w->link, message_take_fd(m, 0));
    return true;
}

static void
leave(void *arg)
{
    const struct worker *w = arg;
    ev_break(w->loop, EVBREAK_ALL);
}

static void
end_sessions(struct worker *w)
{
    acceptors_deinit(&w->acceptors);
    if (w->generations.sessions != NULL)
        sessions_end_all(w->generations.sessions);
    leave(w);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    end_sessions(container_of(timer, struct worker, deadline));
}

static bool
drain(struct worker *w, struct message *m)
{
    struct sessions *sessions = w->generations.sessions;
    double timeout = message_get_double(m);

    if (!message_is_whole(m))
        return false;
    acceptors_deinit(&w->acceptors);
    if (sessions == NULL || sessions->count == 0) {
        leave(w);
        return true;
    }
    ev_timer_set(&w->deadline, timeout, 0.);
    ev_timer_start(w->loop, &w->deadline);
    sessions_drain(sessions, leave, w);
    return true;
}

/* A sign of life, and how the policies do. */
static void
answer_ping(const struct worker *w)
{
    struct hook_totals totals = {0};
    struct message m;
    struct error err;

    if (w->ready)
        totals = generation_totals(current(w));
    message_init(&m, MESSAGE_PONG);
    message_put_u64(&m, generations_number(&w->generations));
    message_put_u64(&m, totals.calls);
    message_put_u64(&m, totals.bugs);
    if (!message_send(SPAWN_FD, &m, &err))
        log_error("%s", err.text);
}

static bool
take_log(struct worker *w, struct message *m)
{
    (void)w;
    return role_take_log(m);
}

static bool
take_ask(struct worker *w, struct message *m)
{
    return session_asks_take(w->asks, m);
}

static bool
take_release(struct worker *w, struct message *m)
{
    acceptors_release(&w->acceptors, (unsigned)message_get_u64(m));
    return message_is_whole(m);
}

static bool
take_ping(struct worker *w, struct message *m)
{
    answer_ping(w);
    return message_is_whole(m);
}

static bool
take_end(struct worker *w, struct message *m)
{
    end_sessions(w);
    return message_is_whole(m);
}

/* What a supervisor says to a running worker.  Each tells whether the message
 * makes sense. */
static bool (*const takers[MESSAGE_COUNT])(struct worker *w,
                                           struct message *m) = {
    [MESSAGE_SOCKET] = take_socket,
    [MESSAGE_LOG] = take_log,
    [MESSAGE_PREPARE] = take_deployment,
    [MESSAGE_COMMIT] = take_commit,
    [MESSAGE_ABORT] = take_abort,
    [MESSAGE_CERTIFICATES] = take_certificates,
    [MESSAGE_STAPLE] = take_staple,
    [MESSAGE_REAPED] = take_reaped,
    [MESSAGE_ASK] = take_ask,
    [MESSAGE_ANSWER] = take_ask,
    [MESSAGE_PURGE] = take_purge,
    [MESSAGE_CONTROL] = take_control,
    [MESSAGE_DRAIN] = drain,
    [MESSAGE_RELEASE] = take_release,
    [MESSAGE_PING] = take_ping,
    [MESSAGE_END] = take_end,
};

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct worker *w = container_of(io, struct worker, messages);
    struct message m;
    enum receive received = message_receive(SPAWN_FD, false, &m);
    bool valid = received == RECEIVE_DONE && takers[m.type] != NULL &&
                 takers[m.type](w, &m);

    (void)events;
    message_deinit(&m);
    if (valid || received == RECEIVE_AGAIN)
        return;
    /* Without a supervisor there is nothing to live for. */
    ev_io_stop(loop, io);
    log_error("the supervisor %s",
              received == RECEIVE_EOF ? "has gone" : "spoke nonsense");
    w->status = EXIT_FAILURE;
    end_sessions(w);
}

/* --- starting --- */

/* SETUP, then the sockets and the dicts, then START. */
static bool
take_setup(struct worker *w)
{
    struct message m;

    if (message_receive(SPAWN_FD, true, &m) != RECEIVE_DONE ||
        !worker_setup_get(&w->setup, &m))
        return fail("the supervisor sent no setup");
    while (message_receive(SPAWN_FD, true, &m) == RECEIVE_DONE) {
        if (m.type == MESSAGE_START)
            return true;
        bool taken = (m.type == MESSAGE_SOCKET && take_socket(w, &m)) ||
                     (m.type == MESSAGE_DICT && take_dict(w, &m));
        message_deinit(&m);
        if (!taken)
            break;
    }
    return fail("the supervisor sent no sockets or dicts");
}

static bool
start_log(const struct worker_setup *setup, struct error *err)
{
    return role_start_log(setup->log_level, setup->log_format, setup->log, err);
}

static void
drop_first_dict(struct worker *w)
{
    struct handed_dict *d = w->dicts;

    w->dicts = d->next;
    free(d->name);
    free(d);
}

/* All of them: none is opened later. */
static bool
open_dicts(struct worker *w, struct error *err)
{
    struct shared *shared = w->lasting->shared;

    for (; w->dicts != NULL; drop_first_dict(w)) {
        const struct handed_dict *d = w->dicts;
        if (!shared_add(shared, slice_of(d->name), d->fd, err))
            return false;
    }
    shared_hold_as(shared,
                   (struct dict_holder){w->setup.number, w->setup.process});
    return true;
}

static bool
make_host(struct worker *w, struct error *err)
{
    const struct dns_options options = {w->setup.resolver, w->setup.valid};

    w->dns = dns_new(w->loop, &options, err);
    if (w->dns == NULL)
        return false;
    w->tls_cache = tls_cache_open(w->setup.tls.cache, err);
    if (w->tls_cache == NULL)
        return false;
    w->lasting = lasting_new(w->loop, w->dns);
    if (!open_dicts(w, err))
        return false;
    w->host = (struct host){
        .loop = w->loop,
        .dns = w->dns,
        .lasting = w->lasting,
        .worker = w->setup.number,
        .ticket_secret.bytes = {w->setup.tls.ticket_secret,
                                sizeof w->setup.tls.ticket_secret},
        .tls_cache = w->tls_cache,
    };
    return true;
}

static size_t
sessions_max(const struct worker *w)
{
    size_t configured = generation_config(current(w))->max_sessions;
    size_t kept = w->descriptors > 2 * (size_t)DESCRIPTORS_KEPT
                      ? DESCRIPTORS_KEPT
                      : w->descriptors / 2;

    return configured > 0 ? configured : (w->descriptors - kept) / 2;
}

static bool
serves(void *arg, unsigned socket)
{
    const struct worker *w = arg;
    return generations_listener(&w->generations, socket) != NULL;
}

static unsigned
number_of_generation(void *arg)
{
    const struct worker *w = arg;

    return generations_number(&w->generations);
}

static void
note_followers(void *arg)
{
    struct worker *w = arg;

    worker_trace_update(&w->trace);
}

static void
make_link(struct worker *w)
{
    const struct worker_link_host host = {
        .loop = w->loop,
        .sessions = w->generations.sessions,
        .generation = number_of_generation,
        .lasting = w->lasting,
        .followed = note_followers,
        .arg = w,
    };

    counters_gauge(w->lasting->counters,
                   "worker_started_seconds{worker=\"%u\"}", w->host.worker)
        ->value = ev_time();
    w->link = worker_link_new(&host);
    worker_trace_init(&w->trace, w->link);
    trace_set_secret(w->host.ticket_secret.bytes);
}

static void
on_connection(void *arg, unsigned socket, int fd, const struct addr *client)
{
    struct worker *w = arg;

    sessions_accept(w->generations.sessions,
                    generations_listener(&w->generations, socket), fd, client);
}

static void
fail_to_start(struct worker *w, const char *why)
{
    (void)fail(why);
    w->status = EXIT_FAILURE;
    leave(w);
}

/* The first generation serves at once; later ones when all workers can. */
static void
on_prepared(void *arg, unsigned generation, const char *why)
{
    struct worker *w = arg;
    struct message m;
    struct error err;

    if (!w->ready && why != NULL) {
        fail_to_start(w, why);
        return;
    }
    if (!w->ready) {
        require(generations_commit(&w->generations, generation));
        w->ready = true;
        make_link(w);
        session_asks_use(w->asks, w->generations.sessions);
        ev_timer_start(w->loop, &w->expiry);
        tell(MESSAGE_READY);
        return;
    }
    message_init(&m, MESSAGE_PREPARED);
    message_put_u64(&m, generation);
    message_put_text(&m, slice_take(slice_of(why != NULL ? why : ""), WHY_MAX));
    if (!message_send(SPAWN_FD, &m, &err))
        log_error("%s", err.text);
}

static void
on_renewed(void *arg)
{
    struct worker *w = arg;

    w->generations.sessions->count_max = sessions_max(w);
    dns_forget(w->dns); /* a reload looks again at all that it uses */
    acceptors_renew(&w->acceptors);
    warn_of_expiry(w);
}

static void
on_exhausted(void *arg, struct generation *g)
{
    struct worker *w = arg;

    generations_rebuild(&w->generations, g);
}

/* Our own results have been forgotten already. */
static bool
tell_purge(void *arg, struct slice name, struct slice key)
{
    const struct purge purge = {name, key};
    struct message m;
    struct error err;

    (void)arg;
    message_init(&m, MESSAGE_PURGE);
    purge_put(&purge, &m);
    return message_send(SPAWN_FD, &m, &err);
}

/* What the setup came with becomes the generations'. */
static void
prepare_first(struct worker *w)
{
    struct deployment d = w->setup.deployment;
    int bundle = w->setup.bundle;

    w->setup.deployment = (struct deployment){0};
    w->setup.bundle = -1;
    generations_prepare(&w->generations, &d, bundle);
}

static bool
start(struct worker *w)
{
    struct error err;

    role_ignore_signals();
    role_open_early();
    digest_prepare(); /* as OpenSSL would, later */
    scram_prepare();
    /* A login's memory comes and goes: it need not go back to the kernel each
     * time. */
    (void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
    (void)mallopt(M_TOP_PAD, MEMORY_KEPT / 8);
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (w->loop == NULL)
        return fail("libev has no epoll here");
    acceptors_init(&w->acceptors, w->loop);
    w->acceptors.serves = serves;
    w->acceptors.accept = on_connection;
    w->acceptors.arg = w;
    if (!take_setup(w))
        return false;
    w->descriptors = privileges_raise_descriptors(w->setup.descriptors);
    if (!role_give_up_privileges(&w->setup.identity, &err) ||
        !start_log(&w->setup, &err) || !make_host(w, &err))
        return fail(err.text);
    w->host.exhausted = on_exhausted;
    w->host.purge = tell_purge;
    w->asks = session_asks_new(w->loop, w->setup.number);
    w->host.asker = session_asks_asker(w->asks);
    w->host.arg = w;
    generations_init(&w->generations, &w->host);
    w->generations.prepared = on_prepared;
    w->generations.renewed = on_renewed;
    w->generations.arg = w;
    ev_io_init(&w->messages, on_message, SPAWN_FD, EV_READ);
    ev_io_start(w->loop, &w->messages);
    ev_init(&w->deadline, on_deadline);
    ev_timer_init(&w->expiry, on_expiry, EXPIRY_PERIOD, EXPIRY_PERIOD);
    return true;
}

static void
deinit(struct worker *w)
{
    acceptors_deinit(&w->acceptors);
    worker_link_free(w->link);
    if (w->asks != NULL)
        session_asks_use(w->asks, NULL);
    generations_deinit(&w->generations);
    session_asks_free(w->asks);
    deployment_deinit(&w->setup.deployment);
    while (w->dicts != NULL)
        drop_first_dict(w);
    lasting_free(w->lasting);
    if (w->dns != NULL)
        dns_free(w->dns);
    tls_cache_close(w->tls_cache);
    if (w->loop != NULL)
        ev_loop_destroy(w->loop);
    free(w->setup.resolver);
    log_writer_stop(FLUSH_LIMIT);
}

int
worker_run(void)
{
    struct worker w = {.setup.bundle = -1};

    list_init(&w.acceptors.all);
    if (start(&w)) {
        prepare_first(&w);
        ev_run(w.loop, 0);
    } else {
        w.status = EXIT_FAILURE;
    }
    deinit(&w);
    return w.status;
}
