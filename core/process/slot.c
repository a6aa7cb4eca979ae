#include "process/slot.h"

#include "process/control_words.h"
#include "process/worker_setup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_LIMIT   60. /* seconds until a worker must be ready */
#define BACKOFF_FIRST 0.1 /* seconds; doubled from then on */
#define BACKOFF_MAX   10.
#define LASTING       10. /* one that lived longer did not fail to start */
#define SILENT_TICKS  3   /* a neighbour takes over */
#define WEDGED_TICKS  20  /* it is ended, if it was busy all the time */
#define WEDGED_CPU    1.6 /* seconds */

/* --- starting --- */

static bool
send_setup(const struct slot *s, struct error *err)
{
    const struct evaluation *e = s->host->evaluation;
    struct worker_setup setup = {
        .number = s->number,
        .process = s->starts,
        .identity = e->identity,
        .log_level = e->plan.log_level,
        .log_format = e->plan.log_format,
        .descriptors = e->plan.descriptors,
        .resolver = e->plan.resolver,
        .valid = e->plan.valid,
        .bundle = e->bundle,
        .log = s->host->log->all[0],
        .tls = *s->host->tls,
    };
    struct message m;

    worker_setup_put(&setup, s->generation, s->host->sockets, &m);
    return message_send_wait(s->child.fd, &m, err);
}

/* Those of `sockets` that `known` (or NULL) does not hold. */
static bool
send_sockets(const struct slot *s, const struct sockets *sockets,
             const struct sockets *known, struct error *err)
{
    struct message m;

    for (size_t i = 0; i < sockets->listener_count; i++) {
        if (known != NULL && sockets_hold(known, sockets->all[i]->id))
            continue;
        message_init(&m, MESSAGE_SOCKET);
        message_put_u64(&m, sockets->all[i]->id);
        message_put_u64(&m, s->number);
        m.fds[0] = sockets_fd(sockets, i, s->number - 1);
        /* A worker that starts reads nothing else; one that runs may be stuck.
         */
        if (!(known == NULL ? message_send_wait : message_send)(s->child.fd, &m,
                                                                err))
            return false;
    }
    return true;
}

static bool
send_start(const struct slot *s, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_START);
    return message_send_wait(s->child.fd, &m, err);
}

/* The other places that it logs to. */
static bool
send_logs(const struct slot *s, struct error *err)
{
    const struct plan *plan = &s->host->evaluation->plan;
    struct message m;

    for (size_t i = 1; i < s->host->log->count; i++) {
        log_targets_tell(s->host->log, i, plan->log_level, plan->log_format,
                         &m);
        if (!message_send_wait(s->child.fd, &m, err))
            return false;
    }
    return true;
}

bool
slot_start(struct slot *s, struct error *err)
{
    struct ev_loop *loop = s->host->loop;
    char number[12];

    require(s->state == SLOT_DOWN);
    (void)snprintf(number, sizeof number, "%u", s->number);
    if (!spawn("@worker", number, &s->child, err))
        return false;
    s->state = SLOT_STARTING;
    s->starts++;
    s->began = ev_now(loop);
    s->silent = 0;
    s->asked = false;
    s->generation = s->host->generation;
    s->preparing = s->committing = 0;
    s->tally = (struct tally){0};
    s->failure.text[0] = '\0';
    ev_child_set(&s->exit, s->child.pid, 0);
    ev_child_start(loop, &s->exit);
    ev_io_init(&s->io, ev_cb(&s->io), s->child.fd, EV_READ);
    ev_io_start(loop, &s->io);
    ev_timer_stop(loop, &s->timer);
    ev_timer_set(&s->timer, START_LIMIT, 0.);
    ev_timer_start(loop, &s->timer);
    /* One that can't be told what to do is reaped like one that died. */
    if (!send_setup(s, &s->failure) ||
        !send_sockets(s, s->host->sockets, NULL, &s->failure) ||
        !shared_dicts_send(s->host->dicts, s->child.fd, &s->failure) ||
        !send_start(s, &s->failure) || !send_logs(s, &s->failure))
        slot_kill(s, SIGKILL);
    else
        s->host->started(s->host, s);
    return true;
}

/* --- another generation --- */

bool
slot_prepare(struct slot *s, unsigned generation, const struct sockets *sockets,
             int bundle, struct error *err)
{
    struct message m;

    require(s->state == SLOT_READY);
    if (!send_sockets(s, sockets, s->host->sockets, err))
        return false;
    message_init(&m, MESSAGE_PREPARE);
    deployment_put(generation, sockets, &m);
    m.fds[0] = bundle;
    if (!message_send(s->child.fd, &m, err))
        return false;
    s->preparing = generation;
    return true;
}

void
slot_commit(struct slot *s, unsigned generation)
{
    struct message m;
    struct error err;

    s->generation = s->committing = generation;
    message_init(&m, MESSAGE_COMMIT);
    message_put_u64(&m, generation);
    if (message_send(s->child.fd, &m, &err))
        return;
    log_error("worker %u is ended, since it can't be told: %s", s->number,
              err.text);
    slot_kill(s, SIGKILL);
}

/* --- messages --- */

void
slot_tell(struct slot *s, const struct message *m)
{
    struct error err;

    if (s->state != SLOT_DOWN && !message_send(s->child.fd, m, &err))
        log_warn("worker %u: %s", s->number, err.text);
}

void
slot_kill(struct slot *s, int signal)
{
    if (s->state != SLOT_DOWN)
        (void)kill(s->child.pid, signal);
}

static void
take_failure(struct slot *s, struct message *m)
{
    struct slice text = message_get_text(m);

    (void)error_set(&s->failure, "%.*s", (int)text.len, text.ptr);
}

/* What comes late, about a generation that was given up, is nobody's. */
static void
take_prepared(struct slot *s, struct message *m)
{
    unsigned generation = (unsigned)message_get_u64(m);
    struct slice why = message_get_text(m);

    if (generation != s->preparing || generation == 0)
        return;
    s->preparing = 0;
    s->host->prepared(s->host, s, generation, why);
}

static void
take_serving(struct slot *s, struct message *m)
{
    if ((unsigned)message_get_u64(m) != s->committing)
        return;
    s->committing = 0;
    s->host->serving(s->host);
}

/* What was received is what is sent on. */
static bool
take_purge(struct slot *s, struct message *m)
{
    struct purge purge;

    if (!purge_get(&purge, m) || !message_is_whole(m))
        return false;
    s->host->purged(s->host, s, m);
    return true;
}

static bool
take_question(struct slot *s, struct message *m)
{
    struct session_question q;

    if (!session_question_get(&q, m) || q.slot != s->number)
        return false;
    s->host->asked(s->host, s, q.id, m);
    return true;
}

static bool
take_answer(struct slot *s, struct message *m)
{
    struct session_answer a;

    if (!session_answer_get(&a, m) || a.workers != 0)
        return false;
    s->host->answered(s->host, a.slot, m);
    return true;
}

/* false: not what a worker may say. */
static bool
take(struct slot *s, struct message *m)
{
    if (m->type == MESSAGE_PONG) {
        s->asked = false;
        s->silent = 0;
        s->tally.generation = (unsigned)message_get_u64(m);
        s->tally.calls = message_get_u64(m);
        s->tally.bugs = message_get_u64(m);
    } else if (m->type == MESSAGE_PREPARED) {
        take_prepared(s, m);
    } else if (m->type == MESSAGE_SERVING) {
        take_serving(s, m);
    } else if (m->type == MESSAGE_FAILED) {
        take_failure(s, m);
    } else if (m->type == MESSAGE_ASK) {
        return take_question(s, m);
    } else if (m->type == MESSAGE_ANSWER) {
        return take_answer(s, m);
    } else if (m->type == MESSAGE_PURGE) {
        return take_purge(s, m);
    } else if (m->type == MESSAGE_READY && s->state == SLOT_STARTING) {
        s->state = SLOT_READY;
        ev_timer_stop(s->host->loop, &s->timer);
        s->host->ready(s->host, s);
    } else {
        return false;
    }
    return message_is_whole(m);
}

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct slot *s = container_of(io, struct slot, io);
    struct message m;
    enum receive received = message_receive(s->child.fd, false, &m);
    bool valid = received == RECEIVE_DONE && take(s, &m);

    (void)events;
    message_deinit(&m);
    if (valid || received == RECEIVE_AGAIN)
        return;
    /* Its end follows at once: on_exit does the rest. */
    ev_io_stop(loop, io);
    if (received != RECEIVE_EOF)
        log_error("worker %u spoke nonsense", s->number);
    slot_kill(s, SIGKILL);
}

/* --- ending --- */

static void
log_exit(const struct slot *s, int status)
{
    int pid = (int)s->child.pid;

    if (s->failure.text[0] != '\0' && !s->host->restarting)
        return; /* the supervisor prints it */
    if (s->failure.text[0] != '\0')
        log_error("worker %u (%d): %s", s->number, pid, s->failure.text);
    else if (WIFSIGNALED(status))
        log_error("worker %u (%d) died of signal %d (%s)", s->number, pid,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0 || s->host->restarting)
        log_error("worker %u (%d) exited with status %d", s->number, pid,
                  WEXITSTATUS(status));
    else
        log_debug("worker %u (%d) has ended", s->number, pid);
}

static double
backoff(const struct slot *s)
{
    double delay = BACKOFF_FIRST;

    if (s->failures <= 1)
        return 0.;
    for (unsigned i = 2; i < s->failures && delay < BACKOFF_MAX; i++)
        delay *= 2;
    return delay < BACKOFF_MAX ? delay : BACKOFF_MAX;
}

static void
start_later(struct slot *s)
{
    double delay = backoff(s);

    if (delay > 0)
        log_warn("worker %u starts again in %.1f s", s->number, delay);
    ev_timer_stop(s->host->loop, &s->timer);
    ev_timer_set(&s->timer, delay, 0.);
    ev_timer_start(s->host->loop, &s->timer);
}

static void
on_exit(struct ev_loop *loop, ev_child *exit, int events)
{
    struct slot *s = container_of(exit, struct slot, exit);
    struct message m;

    (void)events;
    ev_child_stop(loop, exit);
    /* Its last words may still be waiting. */
    while (message_receive(s->child.fd, false, &m) == RECEIVE_DONE) {
        if (m.type == MESSAGE_FAILED)
            take_failure(s, &m);
        message_deinit(&m);
    }
    log_exit(s, exit->rstatus);
    ev_io_stop(loop, &s->io);
    ev_timer_stop(loop, &s->timer);
    (void)close(s->child.fd);
    s->state = SLOT_DOWN;
    s->failures = ev_now(loop) - s->began > LASTING ? 1 : s->failures + 1;
    if (s->host->restarting)
        start_later(s);
    s->host->down(s->host, s);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct slot *s = container_of(timer, struct slot, timer);
    struct error err;

    (void)loop;
    (void)events;
    if (s->state == SLOT_STARTING) {
        (void)error_set(&s->failure, "not ready after %.0f s", START_LIMIT);
        slot_kill(s, SIGKILL);
    } else if (s->state == SLOT_DOWN && !slot_start(s, &err)) {
        log_error("worker %u: %s", s->number, err.text);
        s->failures++;
        start_later(s);
    }
}

/* --- signs of life --- */

static double
cpu_seconds(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return 0.;
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* A process that is merely not given the CPU, or stopped, is left alone, unless
 * others wait for it. */
static void
end_if_wedged(struct slot *s)
{
    double used = cpu_seconds(s->child.pid) - s->silent_cpu;

    if (used < WEDGED_CPU)
        return;
    (void)error_set(&s->failure,
                    "killed: its loop did not turn for %.1f s of CPU time",
                    used);
    slot_kill(s, SIGABRT);
}

/* One that was stopped dies of no other signal. */
void
slot_end_holder(struct slot *s, const char *dict)
{
    (void)error_set(&s->failure,
                    "killed: it kept shared.%s locked for a second", dict);
    slot_kill(s, SIGKILL);
}

void
slot_tick(struct slot *s)
{
    struct message ping;

    if (s->state != SLOT_READY)
        return;
    if (!s->asked) {
        message_init(&ping, MESSAGE_PING);
        slot_tell(s, &ping);
        s->asked = true;
        return;
    }
    s->silent++;
    if (s->silent == SILENT_TICKS)
        s->silent_cpu = cpu_seconds(s->child.pid);
    if (s->silent >= WEDGED_TICKS)
        end_if_wedged(s);
}

bool
slot_is_alive(const struct slot *s)
{
    return s->state == SLOT_READY && s->silent < SILENT_TICKS;
}

void
slot_init(struct slot *s, struct slot_host *host, unsigned number)
{
    *s = (struct slot){.host = host, .number = number};
    ev_init(&s->exit, on_exit);
    ev_init(&s->io, on_message);
    ev_timer_init(&s->timer, on_timer, 0., 0.);
}

void
slot_deinit(struct slot *s)
{
    require(s->state == SLOT_DOWN);
    ev_timer_stop(s->host->loop, &s->timer);
}
