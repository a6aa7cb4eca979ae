#include "process/supervisor.h"

#include "base/random.h"
#include "base/slice.h"
#include "net/tls_cache.h"
#include "process/certificate_watch.h"
#include "process/control_link.h"
#include "process/control_words.h"
#include "process/cover.h"
#include "process/helper.h"
#include "process/log_writer.h"
#include "process/privileges.h"
#include "process/reload.h"
#include "process/staples.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TLS_CACHE_SIZE ((size_t)1024 * 1024)
#define TICK           0.1 /* seconds between signs of life */
#define GRACE          2.  /* beyond the workers' own deadline */
#define END_GRACE      1.
#define ERRORS_MAX     ((size_t)64 * 1024)

enum supervisor_state { STARTING, RUNNING, DRAINING, ENDING };

struct supervisor {
    const struct config_order *order;
    struct slot_host host;
    struct evaluation evaluation;
    struct sockets sockets;
    struct shared_tls tls;
    struct shared_dicts dicts;
    struct certificate_watch certificates;
    struct staples staples;
    struct control_link *control; /* or NULL */
    struct evaluation_job first;  /* evaluates what it starts with */
    struct reload reload;
    struct log_targets log; /* for workers still to be started */
    bool has_pid_file;      /* that we have made */
    struct slot *slots;
    enum supervisor_state state;
    ev_signal term, quit, interrupt, hangup, reopen;
    ev_timer tick, deadline;
    int status;
};

static struct supervisor *
of(struct slot_host *host)
{
    return container_of(host, struct supervisor, host);
}

static size_t
slot_count(const struct supervisor *s)
{
    return s->evaluation.plan.workers;
}

static void
tell_all(struct supervisor *s, const struct message *m)
{
    for (size_t i = 0; i < slot_count(s); i++)
        slot_tell(&s->slots[i], m);
}

static bool
all_are(const struct supervisor *s, enum slot_state state)
{
    for (size_t i = 0; s->slots != NULL && i < slot_count(s); i++) {
        if (s->slots[i].state != state)
            return false;
    }
    return true;
}

/* --- stopping --- */

static void
kill_all(struct supervisor *s)
{
    for (size_t i = 0; s->slots != NULL && i < slot_count(s); i++)
        slot_kill(&s->slots[i], SIGKILL);
    if (all_are(s, SLOT_DOWN))
        control_link_kill(s->control);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    kill_all(container_of(timer, struct supervisor, deadline));
}

static void
set_deadline(struct supervisor *s, double seconds)
{
    ev_timer_stop(s->host.loop, &s->deadline);
    ev_timer_set(&s->deadline, seconds, 0.);
    ev_timer_start(s->host.loop, &s->deadline);
}

/* Control is the last to go: it tells of the others. */
static void
stop_if_empty(struct supervisor *s)
{
    if (!all_are(s, SLOT_DOWN))
        return;
    if (control_link_stop(s->control))
        ev_break(s->host.loop, EVBREAK_ALL);
    else
        set_deadline(s, END_GRACE);
}

/* Workers that are not ready have no sessions to lose. */
static void
drain(struct supervisor *s)
{
    double timeout = s->evaluation.plan.shutdown_timeout;
    struct message m;

    log_info("stopping within %.0f s; a second signal ends at once", timeout);
    s->state = DRAINING;
    s->host.restarting = false;
    ev_timer_stop(s->host.loop, &s->tick);
    evaluation_job_cancel(&s->first);
    reload_stop(&s->reload);
    certificate_watch_stop(&s->certificates);
    staples_stop(&s->staples);
    message_init(&m, MESSAGE_DRAIN);
    message_put_double(&m, timeout);
    for (size_t i = 0; s->slots != NULL && i < slot_count(s); i++) {
        ev_timer_stop(s->host.loop, &s->slots[i].timer);
        if (s->slots[i].state == SLOT_READY)
            slot_tell(&s->slots[i], &m);
        else
            slot_kill(&s->slots[i], SIGKILL);
    }
    sockets_close(&s->sockets);
    set_deadline(s, timeout + GRACE);
    stop_if_empty(s);
}

static void
end(struct supervisor *s)
{
    struct message m;

    log_info("ending at once");
    s->state = ENDING;
    message_init(&m, MESSAGE_END);
    tell_all(s, &m);
    set_deadline(s, END_GRACE);
}

static void
stop(struct supervisor *s)
{
    if (s->state == DRAINING)
        end(s);
    else if (s->state != ENDING)
        drain(s);
}

static void
on_term(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop;
    (void)events;
    stop(container_of(signal, struct supervisor, term));
}

static void
on_quit(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop;
    (void)events;
    stop(container_of(signal, struct supervisor, quit));
}

static void
on_interrupt(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop;
    (void)events;
    stop(container_of(signal, struct supervisor, interrupt));
}

/* --- the log --- */

/* All processes log there, and as the configuration says, from now on. */
static void
use_log(struct supervisor *s)
{
    const struct plan *plan = &s->evaluation.plan;
    struct log_targets own;
    struct message m;
    struct error err;

    for (size_t i = 0; i < s->log.count; i++) {
        log_targets_tell(&s->log, i, plan->log_level, plan->log_format, &m);
        tell_all(s, &m);
        control_link_tell(s->control, &m);
    }
    log_set_level(plan->log_level);
    log_set_format(plan->log_format);
    if (!log_targets_copy(&s->log, &own, &err))
        return;
    for (size_t i = 0; i < own.count; i++)
        log_writer_retarget(own.all[i], i > 0);
}

static void
on_reopen(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct supervisor *s = container_of(signal, struct supervisor, reopen);
    struct log_targets opened;
    struct error err;

    (void)loop;
    (void)events;
    if (!log_targets_open(s->evaluation.plan.log_targets, &opened, &err)) {
        log_error("the old log stays in use: %s", err.text);
        return;
    }
    log_targets_close(&s->log);
    s->log = opened;
    use_log(s);
    log_info("log reopened");
}

static void
on_hangup(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct supervisor *s = container_of(signal, struct supervisor, hangup);

    (void)loop;
    (void)events;
    if (s->state == RUNNING)
        reload_order(&s->reload, RELOAD_FILES, 0, NULL, NULL);
}

/* --- running --- */

/* `moongate: ready imap=127.0.0.1:143 ...`, in one write. */
static void
print_ready(const struct supervisor *s)
{
    char address[ADDR_TEXT_MAX];
    struct buf line;

    buf_init(&line, ERRORS_MAX);
    bool fits = buf_printf(&line, "moongate: ready");
    for (size_t i = 0; i < s->sockets.listener_count; i++) {
        fits = fits &&
               buf_printf(&line, " %s=%s", s->evaluation.plan.listeners[i].name,
                          addr_format(&s->sockets.all[i]->real, address));
    }
    require(fits);
    (void)fprintf(stderr, "%.*s\n", (int)buf_len(&line), buf_bytes(&line).ptr);
    buf_deinit(&line);
}

/* It may be starting. */
static void
end_holder(void *arg, pid_t process, const char *dict)
{
    struct supervisor *s = arg;

    for (size_t i = 0; i < slot_count(s); i++) {
        struct slot *slot = &s->slots[i];
        if (slot->state != SLOT_DOWN && slot->child.pid == process)
            slot_end_holder(slot, dict);
    }
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct supervisor *s = container_of(timer, struct supervisor, tick);

    (void)loop;
    (void)events;
    for (size_t i = 0; i < slot_count(s); i++)
        slot_tick(&s->slots[i]);
    shared_dicts_tick(&s->dicts, end_holder, s);
    cover_slots(s->slots, slot_count(s));
    reload_tick(&s->reload);
}

/* Workers still to be started get the new bundle to begin with. */
static void
on_renewed(void *arg)
{
    struct supervisor *s = arg;
    struct message m;

    message_init(&m, MESSAGE_CERTIFICATES);
    m.fds[0] = s->evaluation.bundle;
    tell_all(s, &m);
    staples_renew(&s->staples);
}

static void
tell_workers(void *arg, const struct message *m)
{
    tell_all(arg, m);
}

static void
tell_one(void *arg, const struct message *m)
{
    slot_tell(arg, m);
}

static void
on_started(struct slot_host *host, struct slot *slot)
{
    staples_tell(&of(host)->staples, tell_one, slot);
}

/* --- control --- */

static const char *
state_name(void *arg)
{
    static const char *const states[] = {
        [STARTING] = "starting",
        [RUNNING] = "running",
        [DRAINING] = "draining",
        [ENDING] = "ending",
    };
    const struct supervisor *s = arg;

    return states[s->state];
}

static void
on_control_down(void *arg)
{
    stop_if_empty(arg);
}

static void
start_control(struct supervisor *s)
{
    const struct control_link_host host = {
        .loop = s->host.loop,
        .evaluation = &s->evaluation,
        .log = &s->log,
        .sockets = &s->sockets,
        .reload = &s->reload,
        .slots = s->slots,
        .slot_count = slot_count(s),
        .state = state_name,
        .down = on_control_down,
        .arg = s,
    };

    control_link_start(s->control, &host);
}

static void
on_ready(struct slot_host *host, struct slot *slot)
{
    struct supervisor *s = of(host);

    control_link_connect(s->control, slot);
    if (s->state == RUNNING) {
        log_info("worker %u is back", slot->number);
        cover_slots(s->slots, slot_count(s));
        reload_ready(&s->reload, slot);
    } else if (s->state == STARTING && all_are(s, SLOT_READY)) {
        s->state = RUNNING;
        s->host.restarting = true;
        ev_timer_start(s->host.loop, &s->tick);
        certificate_watch_start(&s->certificates, s->host.loop, &s->evaluation,
                                on_renewed, s);
        staples_start(&s->staples, s->host.loop, &s->evaluation, tell_workers,
                      s);
        reload_start(&s->reload, s->slots);
        start_control(s);
        print_ready(s);
        log_info("serving with %zu workers", slot_count(s));
    }
}

static void
on_prepared(struct slot_host *host, struct slot *slot, unsigned generation,
            struct slice why)
{
    reload_prepared(&of(host)->reload, slot, generation, why);
}

static void
on_serving(struct slot_host *host)
{
    reload_serving(&of(host)->reload);
}

/* Another generation serves, with other files and sockets. */
static void
on_reloaded(void *arg, const struct log_targets *log)
{
    struct supervisor *s = arg;

    if (log != NULL) {
        log_targets_close(&s->log);
        s->log = *log;
    }
    use_log(s);
    cover_renew(s->slots, slot_count(s));
    certificate_watch_stop(&s->certificates);
    certificate_watch_start(&s->certificates, s->host.loop, &s->evaluation,
                            on_renewed, s);
    staples_renew(&s->staples);
    print_ready(s);
}

/* A worker that can't even start once would not start a second time. */
static void
fail_to_start(struct supervisor *s, const struct slot *slot)
{
    const char *why = slot->failure.text[0] != '\0' ? slot->failure.text
                                                    : "it died while starting";

    if (s->status == EXIT_SUCCESS)
        (void)fprintf(stderr, "moongate: worker %u: %s\n", slot->number, why);
    s->status = EXIT_FAILURE;
    kill_all(s);
    stop_if_empty(s);
}

/* What its process held of shared dicts is given back by the others. */
static void
tell_reaped(struct supervisor *s, const struct slot *slot)
{
    struct message m;

    if (s->dicts.count == 0)
        return;
    message_init(&m, MESSAGE_REAPED);
    message_put_u64(&m, slot->number);
    message_put_u64(&m, slot->starts + 1);
    tell_all(s, &m);
}

static void
on_purged(struct slot_host *host, const struct slot *slot,
          const struct message *purge)
{
    struct supervisor *s = of(host);

    for (size_t i = 0; i < slot_count(s); i++) {
        if (&s->slots[i] != slot)
            slot_tell(&s->slots[i], purge);
    }
}

/* Who asks is among those who are asked, and hears first how many that are. */
static void
on_asked(struct slot_host *host, struct slot *slot, uint64_t id,
         const struct message *question)
{
    struct supervisor *s = of(host);
    struct session_answer a = {.slot = slot->number, .id = id};
    struct message m;

    for (size_t i = 0; i < slot_count(s); i++)
        a.workers += s->slots[i].state == SLOT_READY;
    session_answer_put(&a, &m);
    slot_tell(slot, &m);
    for (size_t i = 0; i < slot_count(s); i++) {
        if (s->slots[i].state == SLOT_READY)
            slot_tell(&s->slots[i], question);
    }
}

static void
on_answered(struct slot_host *host, unsigned to, const struct message *answer)
{
    struct supervisor *s = of(host);

    if (to <= slot_count(s))
        slot_tell(&s->slots[to - 1], answer);
}

static void
on_down(struct slot_host *host, struct slot *slot)
{
    struct supervisor *s = of(host);

    if (s->state == STARTING)
        fail_to_start(s, slot);
    else if (s->state == RUNNING) {
        tell_reaped(s, slot);
        cover_slots(s->slots, slot_count(s));
        reload_down(&s->reload, slot);
    } else
        stop_if_empty(s);
}

/* --- starting --- */

static bool
print_errors(struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');
        if (line.len > 0)
            (void)fprintf(stderr, "moongate: %.*s\n", (int)line.len, line.ptr);
    }
    return false;
}

static bool
open_sockets(struct supervisor *s)
{
    struct buf errors;

    buf_init(&errors, ERRORS_MAX);
    bool opened = sockets_open(&s->sockets, NULL, &s->evaluation.plan, &errors);
    if (!opened)
        print_errors(buf_bytes(&errors));
    buf_deinit(&errors);
    return opened;
}

static bool
open_control(struct supervisor *s)
{
    struct error err;

    s->control = control_link_open(&s->evaluation.plan, &err);
    return err.text[0] == '\0' || print_errors(slice_of(err.text));
}

static bool
open_log(struct supervisor *s)
{
    const struct plan *plan = &s->evaluation.plan;
    struct log_targets own;
    struct error err;

    log_set_level(plan->log_level);
    log_set_format(plan->log_format);
    if (!log_targets_open(plan->log_targets, &s->log, &err) ||
        !log_targets_copy(&s->log, &own, &err) ||
        !log_writer_start(own.all[0], &err))
        return print_errors(slice_of(err.text));
    for (size_t i = 1; i < own.count; i++)
        log_writer_retarget(own.all[i], true);
    return true;
}

static bool
start_workers(struct supervisor *s)
{
    struct error err;

    s->slots = xcalloc(slot_count(s), sizeof *s->slots);
    for (size_t i = 0; i < slot_count(s); i++)
        slot_init(&s->slots[i], &s->host, (unsigned)i + 1);
    for (size_t i = 0; i < slot_count(s); i++) {
        if (!slot_start(&s->slots[i], &err))
            return print_errors(slice_of(err.text));
    }
    return true;
}

static void
watch(struct ev_loop *loop, ev_signal *w, int number,
      void (*callback)(struct ev_loop *loop, ev_signal *w, int events))
{
    ev_signal_init(w, callback, number);
    ev_signal_start(loop, w);
}

static void
watch_signals(struct supervisor *s)
{
    struct ev_loop *loop = s->host.loop;

    watch(loop, &s->term, SIGTERM, on_term);
    watch(loop, &s->quit, SIGQUIT, on_quit);
    watch(loop, &s->interrupt, SIGINT, on_interrupt);
    watch(loop, &s->hangup, SIGHUP, on_hangup);
    watch(loop, &s->reopen, SIGUSR1, on_reopen);
}

/* Workers, those of later too, resume each other's TLS sessions. */
static bool
share_tls(struct supervisor *s)
{
    struct error err;

    random_bytes(s->tls.ticket_secret, sizeof s->tls.ticket_secret);
    s->tls.cache = tls_cache_create(TLS_CACHE_SIZE, &err);
    return s->tls.cache >= 0 || print_errors(slice_of(err.text));
}

static bool
share_dicts(struct supervisor *s)
{
    struct error err;

    return shared_dicts_create(&s->dicts, &s->evaluation.plan, &err) ||
           print_errors(slice_of(err.text));
}

/* Whoever reads the file may send us signals by it. */
static bool
write_pid(struct supervisor *s)
{
    const char *path = s->evaluation.plan.pid_file;
    struct error err;

    if (*path == '\0')
        return true;
    FILE *file = fopen(path, "we");
    s->has_pid_file = file != NULL;
    bool written = file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (written)
        return true;
    (void)error_set(&err, "pid_file: %s: %s", path, strerror(errno));
    return print_errors(slice_of(err.text));
}

/* The configuration is known, or what is wrong with it. */
static void
on_evaluated(void *arg, struct evaluation *result, const char *errors)
{
    struct supervisor *s = arg;
    bool fine = errors == NULL || print_errors(slice_of(errors));

    if (fine) {
        s->evaluation = *result;
        evaluation_init(result);
        fine = open_sockets(s) && open_control(s) && open_log(s) &&
               write_pid(s) && share_tls(s) && share_dicts(s) &&
               start_workers(s);
    }
    if (fine)
        return;
    s->status = EXIT_FAILURE;
    kill_all(s);
    stop_if_empty(s);
}

static bool
start(struct supervisor *s)
{
    struct error err;

    if (!privileges_harden(&err))
        return print_errors(slice_of(err.text));
    (void)privileges_raise_descriptors(0);
    s->host.loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (s->host.loop == NULL)
        return print_errors(S("libev has no epoll here"));
    ev_timer_init(&s->tick, on_tick, TICK, TICK);
    ev_init(&s->deadline, on_deadline);
    watch_signals(s);
    reload_init(&s->reload, &s->host, s->order, &s->evaluation, &s->sockets);
    s->reload.renewed = on_reloaded;
    s->reload.arg = s;
    evaluation_job_init(&s->first, s->host.loop, on_evaluated, s);
    if (!evaluation_job_start(&s->first, s->order, &err))
        return print_errors(slice_of(err.text));
    return true;
}

static void
deinit(struct supervisor *s)
{
    for (size_t i = 0; s->slots != NULL && i < slot_count(s); i++)
        slot_deinit(&s->slots[i]);
    free(s->slots);
    reload_stop(&s->reload);
    certificate_watch_stop(&s->certificates);
    staples_stop(&s->staples);
    sockets_close(&s->sockets);
    control_link_free(s->control);
    log_writer_stop(END_GRACE);
    log_targets_close(&s->log);
    if (s->has_pid_file)
        (void)unlink(s->evaluation.plan.pid_file);
    evaluation_deinit(&s->evaluation);
    explicit_bzero(s->tls.ticket_secret, sizeof s->tls.ticket_secret);
    if (s->tls.cache >= 0)
        (void)close(s->tls.cache);
    shared_dicts_close(&s->dicts);
    if (s->host.loop != NULL)
        ev_loop_destroy(s->host.loop);
}

int
supervisor_run(const struct config_order *order)
{
    struct supervisor s = {.order = order, .tls.cache = -1};

    s.host.evaluation = &s.evaluation;
    s.host.sockets = &s.sockets;
    s.host.log = &s.log;
    s.host.tls = &s.tls;
    s.host.dicts = &s.dicts;
    s.host.started = on_started;
    s.host.generation = 1;
    s.host.ready = on_ready;
    s.host.prepared = on_prepared;
    s.host.serving = on_serving;
    s.host.purged = on_purged;
    s.host.asked = on_asked;
    s.host.answered = on_answered;
    s.host.down = on_down;
    evaluation_init(&s.evaluation);
    if (start(&s))
        ev_run(s.host.loop, 0);
    else
        s.status = EXIT_FAILURE;
    if (s.state >= DRAINING)
        log_info("stopped");
    deinit(&s);
    return s.status;
}
