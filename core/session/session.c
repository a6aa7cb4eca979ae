/* session.c -- the state machine: the only writer of `phase`. */
#include "session/session.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "session/observer.h"
#include "session/record.h"
#include "session/sessions.h"
#include "session/side.h"

#include <sys/socket.h>

#define TUNE_AFTER 60.   /* seconds that a session lasts before it pays */
#define SOONEST    0.001 /* seconds until a deadline */

#define TO(id) (1u << PHASE_##id)

static const struct {
    const char *name;
    unsigned may_follow; /* set of TO() bits */
    enum phase (*step)(struct session *s);
} phases[PHASE_COUNT] = {
#define PHASE(id, name, next) \
    [PHASE_##id] = {#name, (next) | TO(CLOSE), phase_##name},
#include "session/phases.def"
#undef PHASE
};

static const char *const end_names[END_COUNT] = {
#define END(id, clean, name, text) [END_##id] = (name),
#include "session/ends.def"
#undef END
};

const char *
phase_name(enum phase p)
{
    return phases[p].name;
}

const char *
end_name(enum end e)
{
    return end_names[e];
}

/* Seconds that the running phase may take. */
static double
phase_limit(const struct session *s)
{
    const struct limits *limits = &s->listener->limits;

    switch (s->phase) {
    case PHASE_HANDSHAKE: /* a lookup keeps its own time */
        return s->login->reverse != NULL ? limits->login_timeout
                                         : limits->handshake_timeout;
    case PHASE_COMMAND:
        return limits->login_timeout;
    case PHASE_GREET:
        return s->login->greeted ? limits->login_timeout
                                 : s->entered + s->listener->greeting_delay -
                                       ev_now(s->home->loop);
    case PHASE_POLICY: /* the policy layer keeps its own time */
        return s->login->delaying ? s->login->verdict.delay
                                  : limits->hook_timeout + 2;
    case PHASE_CONNECT: /* and so does a dial */
        return s->login->target.connect_timeout + 1;
    case PHASE_LOGIN:
        return limits->upstream_timeout;
    case PHASE_SPLICE:
        return s->upstream.untuned && limits->idle_timeout > TUNE_AFTER
                   ? TUNE_AFTER
                   : limits->idle_timeout;
    case PHASE_CLOSE:
        return limits->close_timeout;
    case PHASE_COUNT:
        break;
    }
    unreachable();
}

/* Most phases are over long before their deadline, and the next has a later
 * one: the timer is left to ring early then, and libev sets it again by itself
 * for the rest. */
void
session_arm_for(struct session *s, double seconds)
{
    ev_timer *t = &s->deadline;
    double later = 0;

    if (ev_is_active(t) && !ev_is_pending(t) && !s->deadline_passed)
        later = seconds - ev_timer_remaining(s->home->loop, t);
    s->deadline_passed = false;
    s->rings_early = later >= SOONEST;
    if (s->rings_early) {
        t->repeat = later;
        return;
    }
    t->repeat = seconds > SOONEST ? seconds : SOONEST;
    ev_timer_again(s->home->loop, t);
}

/* Until CONNECT no phase goes past the budget that began at accept. */
void
session_arm(struct session *s)
{
    double limit = phase_limit(s);
    double left = s->login_by - ev_now(s->home->loop);

    if (s->phase < PHASE_CONNECT && left < limit)
        limit = left;
    session_arm_for(s, limit);
}

static void
begin(struct session *s)
{
    if (s->phase == PHASE_LOGIN)
        phase_login_begin(s);
    else if (s->phase == PHASE_SPLICE)
        phase_splice_begin(s);
    else if (s->phase == PHASE_CLOSE)
        phase_close_begin(s);
}

static void
enter(struct session *s, enum phase next)
{
    ev_tstamp now = ev_now(s->home->loop);

    require(phases[s->phase].may_follow & (1u << next));
    log_debug("session %s: %s -> %s", s->id, phases[s->phase].name,
              phases[next].name);
    s->spent[s->phase] += (float)(now - s->entered);
    s->entered = now;
    if (next == PHASE_CLOSE)
        s->end_phase = s->phase;
    s->counts->in_phase[s->phase]--;
    s->phase = next;
    s->counts->in_phase[s->phase]++;
    session_arm(s);
    if (session_observer != NULL)
        session_observer->entered(s);
    begin(s);
}

/* A passed deadline of a phase that does not look at it itself. */
static enum phase
time_out(struct session *s)
{
    switch (s->phase) {
    case PHASE_HANDSHAKE:
    case PHASE_GREET:
    case PHASE_COMMAND:
    case PHASE_POLICY:
        return session_say_bye(s, REASON_TIMEOUT, END_TIMEOUT);
    case PHASE_CONNECT:
    case PHASE_LOGIN:
        return session_upstream_failed(s, END_UPSTREAM_TIMEOUT,
                                       S("the upstream took too long"));
    case PHASE_SPLICE:
    case PHASE_CLOSE:
    case PHASE_COUNT:
        break;
    }
    unreachable();
}

/* The deadline is a pause that was meant: its phase goes on after it. */
static bool
is_pausing(const struct session *s)
{
    if (ev_now(s->home->loop) >= s->login_by)
        return false;
    return (s->phase == PHASE_POLICY && s->login->delaying) ||
           (s->phase == PHASE_GREET && !s->login->greeted);
}

/* Once logged in, what the client is being told is the upstream's: a word of
 * ours could end up inside of a mail. */
static enum phase
leave(struct session *s, enum reason reason, enum end why)
{
    return s->login == NULL ? session_end(s, why)
                            : session_say_bye(s, reason, why);
}

static enum phase
step(struct session *s)
{
    if (s->stopped && s->phase != PHASE_CLOSE)
        return leave(s, REASON_SHUTDOWN, END_SHUTDOWN);
    if (s->kicked && s->phase != PHASE_CLOSE)
        return leave(s, REASON_KICKED, END_KICKED);
    if (s->phase == PHASE_CLOSE || s->phase == PHASE_SPLICE)
        return phases[s->phase].step(s);
    if (s->client.broken)
        return session_end(s, END_CLIENT_GONE);
    if (s->deadline_passed && !is_pausing(s))
        return time_out(s);
    return phases[s->phase].step(s);
}

/* Writes what the steps left to say; true if that broke the client's
 * connection, which is a fact to act on. */
static bool
flush(struct session *s)
{
    bool was_broken = s->client.broken;

    if (s->login == NULL)
        return false;
    if (!s->login->shaking)
        (void)session_flush_client(s);
    if (stream_is_open(&s->upstream.stream) && !s->login->upstream_shaking)
        (void)session_flush_upstream(s);
    return s->client.broken && !was_broken;
}

void
session_run(struct session *s)
{
    if (s->dead)
        return;
    do {
        for (enum phase next; (next = step(s)) != s->phase;)
            enter(s, next);
    } while (flush(s) || session_take_more(s));
    if (s->dead)
        sessions_bury(s);
    else
        session_watch(s);
}

enum phase
session_end(struct session *s, enum end why)
{
    if (s->end == END_NONE)
        s->end = why;
    return PHASE_CLOSE;
}

void
session_kick(struct session *s, struct slice reason)
{
    if (reason.len > 0)
        record_set(&s->record.log, reason);
    s->kicked = true;
    session_run(s);
}

bool
session_flush_client(struct session *s)
{
    session_show_output(s);
    bool done = side_flush(&s->client, &s->login->to_client);
    s->login->shown_client = buf_len(&s->login->to_client);
    return done;
}

bool
session_flush_upstream(struct session *s)
{
    session_show_output(s);
    bool done = side_flush(&s->upstream, &s->login->to_upstream);
    s->login->shown_upstream = buf_len(&s->login->to_upstream);
    return done;
}

/* nginx closes without a word. */
static bool
is_unsaid(const struct session *s, enum reason reason)
{
    return s->listener->settings.as_nginx &&
           (reason == REASON_TIMEOUT || reason == REASON_TOO_MANY);
}

enum phase
session_say_bye(struct session *s, enum reason reason, enum end why)
{
    struct dialog *d = &s->login->dialog;

    if (s->end == END_NONE && !is_unsaid(s, reason)) {
        d->refusal = (struct refusal){
            .reason = reason,
            .stage = s->login->greeted ? STAGE_COMMAND : STAGE_CONNECT};
        s->listener->proto->say(d, SAY_BYE);
    }
    return session_end(s, why);
}

bool
session_client_left(const struct session *s)
{
    return s->client.broken ||
           (s->client.eof && buf_is_empty(&s->login->from_client));
}

void
session_adopt(struct session *s)
{
    struct config *newest = s->home->config;
    const struct listener_config *l;

    if (s->config == newest)
        return;
    l = config_listener(newest, s->listener);
    if (l == NULL)
        return;
    config_unref(s->config);
    s->config = config_ref(newest);
    s->listener = l;
    if (s->login != NULL)
        s->login->dialog.settings = &l->settings;
}

void
session_let_go(struct session *s)
{
    struct policy *policy = s->login->policy;

    s->login->policy = NULL;
    if (policy != NULL)
        policy->ops->let_go(policy);
}

/* Whose chain is asked.  A client that says nothing holds no policy; a login
 * does, from the hook that it begins with to its end. */
static struct policy *
policy_for(struct session *s, enum hook hook)
{
    struct login_state *login = s->login;

    if (login->policy != NULL)
        return login->policy;
    if (hook == HOOK_AUTH || hook == HOOK_RCPT) {
        session_adopt(s);
        login->policy = s->home->policy;
        login->policy->ops->hold(login->policy);
    }
    return s->home->policy;
}

enum phase
session_ask(struct session *s, enum hook hook)
{
    struct policy *policy = policy_for(s, hook);
    struct login_state *login = s->login;

    login->hook = hook;
    if (login->verdict.kind > VERDICT_NONE) /* else it says nothing else */
        login->verdict = (struct verdict){0};
    login->verdict.kind = VERDICT_PENDING;
    login->delaying = login->delay_over = false;
    if (s->phase == PHASE_POLICY)
        session_arm(s);
    if (policy->ops->has(policy, s->listener, hook))
        policy->ops->ask(policy, s, hook);
    else
        login->verdict.kind = VERDICT_NONE;
    return PHASE_POLICY;
}

const struct addr *
session_server_addr(struct session *s)
{
    struct addr *a = &s->login->server_addr;

    if (a->len == 0) {
        a->len = sizeof a->storage;
        if (getsockname(s->client.stream.fd, &a->any, &a->len) != 0)
            *a = (struct addr){0};
    }
    return a;
}
