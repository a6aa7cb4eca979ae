#include "process/worker.h"

#include "base/digest.h"
#include "base/slice.h"
#include "lua/bundle.h"
#include "lua/certificates.h"
#include "lua/policy_lua.h"
#include "lua/renewal.h"
#include "net/dns.h"
#include "net/tls_cache.h"
#include "process/acceptors.h"
#include "process/log_writer.h"
#include "process/spawn.h"
#include "process/worker_link.h"
#include "process/worker_setup.h"
#include "session/probe.h"
#include "session/sessions.h"

#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_KEPT   (8 * 1024 * 1024)
#define FLUSH_LIMIT   1. /* seconds for the last log lines */
#define EXPIRY_PERIOD 86400.
/* Descriptors that are not of sessions: pipes, auth servers, the log. */
#define DESCRIPTORS_KEPT 256

struct worker {
    struct worker_setup setup;
    struct ev_loop *loop;
    ev_io messages;
    ev_timer deadline; /* of a drain */
    ev_timer expiry;   /* when certificates are looked at again */
    struct acceptors acceptors;
    struct host host;
    struct bundle *bundle;
    struct tls_cache *tls_cache;
    struct dns *dns;
    struct generation *generation;
    struct sessions *sessions;
    struct probes *probes;
    struct worker_link *link; /* NULL until it is ready */
    size_t descriptors;       /* limit of open ones */
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
    unsigned listener = (unsigned)message_get_u64(m);
    unsigned slot = (unsigned)message_get_u64(m);

    if (!message_is_whole(m) || listener >= w->setup.listener_count)
        return false;
    acceptors_add(&w->acceptors, listener, slot, message_take_fd(m, 0));
    return true;
}

static bool
take_log(struct message *m)
{
    struct log_target target = {.facility = (int)message_get_i64(m)};

    target.fd = message_take_fd(m, 0);
    log_writer_retarget(target);
    return message_is_whole(m);
}

/* One worker tells for all of them. */
static void
warn_of_expiry(const struct worker *w)
{
    if (w->setup.number == 1)
        certificates_warn(generation_config(w->generation)->own, time(NULL));
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
    if (bundle == NULL || !renewal_take(w->generation, bundle, &count, &err)) {
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
    const struct certificates *own = generation_config(w->generation)->own;
    struct error err;

    if (!message_is_whole(m))
        return false;
    if (!certificates_staple(own, name, der, time(NULL), &err))
        log_warn("certificate %.*s: its status can't be shown: %s",
                 (int)name.len, name.ptr, err.text);
    return true;
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
    if (w->sessions != NULL)
        sessions_end_all(w->sessions);
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
    double timeout = message_get_double(m);

    if (!message_is_whole(m))
        return false;
    acceptors_deinit(&w->acceptors);
    if (w->sessions == NULL || w->sessions->count == 0) {
        leave(w);
        return true;
    }
    ev_timer_set(&w->deadline, timeout, 0.);
    ev_timer_start(w->loop, &w->deadline);
    sessions_drain(w->sessions, leave, w);
    return true;
}

/* false: not what a supervisor says to a running worker. */
static bool
take(struct worker *w, struct message *m)
{
    if (m->type == MESSAGE_SOCKET)
        return take_socket(w, m);
    if (m->type == MESSAGE_LOG)
        return take_log(m);
    if (m->type == MESSAGE_CERTIFICATES)
        return take_certificates(w, m);
    if (m->type == MESSAGE_STAPLE)
        return take_staple(w, m);
    if (m->type == MESSAGE_CONTROL)
        return take_control(w, m);
    if (m->type == MESSAGE_DRAIN)
        return drain(w, m);
    if (m->type == MESSAGE_RELEASE)
        acceptors_release(&w->acceptors, (unsigned)message_get_u64(m));
    else if (m->type == MESSAGE_PING)
        tell(MESSAGE_PONG);
    else if (m->type == MESSAGE_END)
        end_sessions(w);
    else
        return false;
    return message_is_whole(m);
}

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct worker *w = container_of(io, struct worker, messages);
    struct message m;
    enum receive received = message_receive(SPAWN_FD, false, &m);
    bool valid = received == RECEIVE_DONE && take(w, &m);

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

/* SETUP, then the sockets, then START. */
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
        bool taken = m.type == MESSAGE_SOCKET && take_socket(w, &m);
        message_deinit(&m);
        if (!taken)
            break;
    }
    return fail("the supervisor sent no sockets");
}

/* Signals of a terminal or a service manager go to all processes; what they
 * mean, the supervisor tells. */
static void
ignore_signals(void)
{
    const int ignored[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)signal(ignored[i], SIG_IGN);
}

/* What the C library and OpenSSL would otherwise open at their first use, much
 * later. */
static void
open_early(void)
{
    void *frame;

    tzset();
    (void)backtrace(&frame, 1);
    digest_prepare();
}

static bool
give_up_privileges(struct worker *w, struct error *err)
{
    if (!privileges_harden(err))
        return false;
    w->descriptors = privileges_raise_descriptors();
    if (!privileges_drop(&w->setup.identity, err))
        return false;
    /* Changing the user clears both of these. */
    if (!privileges_harden(err))
        return false;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return error_set(err, "death signal: %s", strerror(errno));
    return true;
}

static bool
start_log(const struct worker *w, struct error *err)
{
    struct log_target target = {w->setup.log, w->setup.log_facility};

    log_set_level(w->setup.log_level);
    log_set_format(w->setup.log_format);
    return log_writer_start(target, err);
}

static bool
build_generation(struct worker *w, struct error *err)
{
    const char *resolver = w->setup.resolver;

    w->dns = dns_new(w->loop, *resolver != '\0' ? resolver : NULL, err);
    if (w->dns == NULL)
        return false;
    w->bundle = bundle_open(w->setup.bundle, err);
    (void)close(w->setup.bundle);
    if (w->bundle == NULL)
        return false;
    w->tls_cache = tls_cache_open(w->setup.tls.cache, err);
    if (w->tls_cache == NULL)
        return false;
    w->host = (struct host){
        .loop = w->loop,
        .dns = w->dns,
        .worker = w->setup.number,
        .ticket_secret.bytes = {w->setup.tls.ticket_secret,
                                sizeof w->setup.tls.ticket_secret},
        .tls_cache = w->tls_cache,
    };
    w->generation = generation_new(&w->host, w->bundle, 1, err);
    if (w->generation == NULL)
        return false;
    if (generation_config(w->generation)->listener_count !=
        w->setup.listener_count)
        return error_set(err, "the configuration differs from its plan");
    return true;
}

static size_t
sessions_max(const struct worker *w)
{
    size_t configured = generation_config(w->generation)->max_sessions;
    size_t kept = w->descriptors > 2 * (size_t)DESCRIPTORS_KEPT
                      ? DESCRIPTORS_KEPT
                      : w->descriptors / 2;

    return configured > 0 ? configured : (w->descriptors - kept) / 2;
}

static void
on_connection(void *arg, unsigned listener, int fd, const struct addr *client)
{
    struct worker *w = arg;
    struct config *config = generation_config(w->generation);

    sessions_accept(w->sessions, config, &config->listeners[listener], fd,
                    client);
}

static unsigned
number_of_generation(void *arg)
{
    const struct worker *w = arg;

    return generation_config(w->generation)->generation;
}

static void
each_counter(void *arg, void (*each)(void *to, const char *name, double value),
             void *to)
{
    const struct worker *w = arg;

    generation_counters_each(w->generation, each, to);
}

static void
make_link(struct worker *w)
{
    const struct worker_link_host host = {
        .loop = w->loop,
        .sessions = w->sessions,
        .generation = number_of_generation,
        .counters_each = each_counter,
        .arg = w,
    };

    w->link = worker_link_new(&host);
}

static void
on_generation(void *arg, bool ok, const char *error)
{
    struct worker *w = arg;

    if (!ok) {
        (void)fail(error);
        w->status = EXIT_FAILURE;
        leave(w);
        return;
    }
    w->sessions = sessions_new(
        w->loop, w->dns, generation_policy(w->generation), sessions_max(w));
    w->probes = probes_new(w->sessions, generation_config(w->generation));
    make_link(w);
    acceptors_start(&w->acceptors, on_connection, w);
    warn_of_expiry(w);
    ev_timer_start(w->loop, &w->expiry);
    tell(MESSAGE_READY);
}

static bool
start(struct worker *w)
{
    struct error err;

    ignore_signals();
    open_early();
    /* A login's memory comes and goes: it need not go back to the kernel each
     * time. */
    (void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
    (void)mallopt(M_TOP_PAD, MEMORY_KEPT / 8);
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (w->loop == NULL)
        return fail("libev has no epoll here");
    acceptors_init(&w->acceptors, w->loop);
    if (!take_setup(w))
        return false;
    if (!give_up_privileges(w, &err) || !start_log(w, &err) ||
        !build_generation(w, &err))
        return fail(err.text);
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
    probes_free(w->probes);
    sessions_free(w->sessions);
    generation_free(w->generation);
    if (w->dns != NULL)
        dns_free(w->dns);
    if (w->bundle != NULL)
        bundle_close(w->bundle);
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
        generation_init(w.generation, on_generation, &w);
        ev_run(w.loop, 0);
    } else {
        w.status = EXIT_FAILURE;
    }
    deinit(&w);
    return w.status;
}
