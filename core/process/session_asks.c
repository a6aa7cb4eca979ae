#include "process/session_asks.h"

#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "process/control_words.h"
#include "process/spawn.h"
#include "process/worker_link.h"

#include <stdlib.h>

#define PATIENCE      3.  /* seconds for all answers */
#define TURN_SESSIONS 512 /* looked at in a loop round, by one question */
#define TURN_KICKS    64
#define ASKS_MAX      1000 /* of a worker, not answered yet */
#define JOBS_MAX      ((size_t)ASKS_MAX * 64)

/* One question of a worker that is being answered. */
struct job {
    struct list link;
    struct session_question question;
    char reason[REASON_MAX + 1];
    char except[sizeof((struct session_filter *)NULL)->session];
    struct sessions_walk walk;
    uint64_t count;
};

struct session_asks {
    struct session_asker asker;
    struct ev_loop *loop;
    struct sessions *sessions;
    unsigned slot;
    struct session_ask *own; /* that wait for answers */
    size_t own_count, job_count;
    uint64_t last_id;
    struct list jobs;
    ev_idle turns;
};

static bool
send_message(const struct message *m)
{
    struct error err;

    if (message_send(SPAWN_FD, m, &err))
        return true;
    log_warn("sessions: %s", err.text);
    return false;
}

/* --- what is asked of us --- */

static void
job_free(struct session_asks *a, struct job *j)
{
    sessions_walk_end(&j->walk);
    list_remove(&j->link);
    a->job_count--;
    free(j);
}

static bool
is_meant(const struct job *j, const struct session *s)
{
    struct session_facts facts = worker_link_facts(s);

    return s->phase != PHASE_CLOSE &&
           !slice_equal(facts.id, slice_of(j->except)) &&
           session_filter_matches(&j->question.filter, &facts);
}

/* True when all have been looked at. */
static bool
take_turn(struct job *j)
{
    size_t kicks = 0;

    for (size_t i = 0; i < TURN_SESSIONS && kicks < TURN_KICKS; i++) {
        struct session *s = sessions_walk_next(&j->walk);
        if (s == NULL)
            return true;
        if (!is_meant(j, s))
            continue;
        j->count++;
        if (j->question.kicks) {
            session_kick(s, slice_of(j->reason));
            kicks++;
        }
    }
    return false;
}

static void
answer(struct session_asks *a, struct job *j)
{
    const struct session_answer found = {
        .slot = j->question.slot, .id = j->question.id, .count = j->count};
    struct message m;

    session_answer_put(&found, &m);
    (void)send_message(&m);
    job_free(a, j);
}

static void
on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
    struct session_asks *a = container_of(idle, struct session_asks, turns);

    (void)events;
    for (struct list *l = a->jobs.next, *next; l != &a->jobs; l = next) {
        struct job *j = container_of(l, struct job, link);
        next = l->next;
        if (take_turn(j))
            answer(a, j);
    }
    if (list_is_empty(&a->jobs))
        ev_idle_stop(loop, idle);
}

static void
copy(char *to, struct slice text)
{
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
}

static bool
take_question(struct session_asks *a, struct message *m)
{
    struct session_question q;

    if (!session_question_get(&q, m))
        return false;
    if (a->job_count >= JOBS_MAX || a->sessions == NULL)
        return true; /* who asked hears nothing, and gives up */
    struct job *j = xcalloc(1, sizeof *j);
    j->question = q;
    copy(j->reason, q.reason);
    copy(j->except, q.except);
    sessions_walk_begin(a->sessions, &j->walk);
    list_append(&a->jobs, &j->link);
    a->job_count++;
    ev_idle_start(a->loop, &a->turns);
    return true;
}

/* --- what we ask --- */

static struct session_ask **
find(struct session_asks *a, uint64_t id)
{
    struct session_ask **at = &a->own;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void
forget(struct session_asks *a, struct session_ask *ask)
{
    struct session_ask **at = find(a, ask->id);

    require(*at == ask);
    *at = ask->next;
    a->own_count--;
    ev_timer_stop(a->loop, &ask->limit);
}

static bool
take_answer(struct session_asks *a, struct message *m)
{
    struct session_answer got;

    if (!session_answer_get(&got, m) || got.slot != a->slot)
        return false;
    struct session_ask *ask = *find(a, got.id);
    if (ask == NULL)
        return true; /* nobody waits any more */
    if (got.workers > 0) {
        ask->told = true;
        ask->waits += got.workers;
    } else {
        ask->waits--;
        ask->count += got.count;
    }
    if (ask->told && ask->waits == 0) {
        forget(a, ask);
        ask->done(ask, ask->count, NULL);
    }
    return true;
}

static void
on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct session_ask *ask = container_of(timer, struct session_ask, limit);

    (void)loop, (void)events;
    forget(timer->data, ask);
    ask->done(ask, 0, "a worker did not answer");
}

/* The texts of a question, checked. */
static bool
fill(const struct session_ask *ask, struct session_question *q,
     struct error *err)
{
    static const char *const names[] = {SESSION_ASK_FILTERS};

    session_filter_init(&q->filter);
    for (size_t i = 0; i < SESSION_ASK_FILTER_COUNT; i++) {
        if (ask->filters[i].len > 0 &&
            !session_filter_set(&q->filter, slice_of(names[i]), ask->filters[i],
                                err))
            return false;
    }
    if (ask->reason.len > REASON_MAX || has_control(ask->reason))
        return error_set(err, "reason: a line of at most %d bytes expected",
                         REASON_MAX);
    if (ask->except.len >= sizeof q->filter.session)
        return error_set(err, "except: the id of a session expected");
    q->kicks = ask->kicks;
    q->reason = ask->reason;
    q->except = ask->except;
    return true;
}

static bool
begin(struct session_asker *by, struct session_ask *ask, struct error *err)
{
    struct session_asks *a = container_of(by, struct session_asks, asker);
    struct session_question q = {.slot = a->slot, .id = a->last_id + 1};
    struct message m;

    if (!fill(ask, &q, err))
        return false;
    ask->id = ++a->last_id;
    ask->next = a->own;
    a->own = ask;
    session_question_put(&q, &m);
    bool sent = a->own_count++ < ASKS_MAX && send_message(&m);
    ev_timer_init(&ask->limit, on_limit, sent ? PATIENCE : 0., 0.);
    ask->limit.data = a;
    ev_timer_start(a->loop, &ask->limit);
    return true;
}

static void
cancel(struct session_asker *by, struct session_ask *ask)
{
    forget(container_of(by, struct session_asks, asker), ask);
}

/* --- outside --- */

bool
session_asks_take(struct session_asks *a, struct message *m)
{
    if (m->type == MESSAGE_ASK)
        return take_question(a, m);
    return m->type == MESSAGE_ANSWER && take_answer(a, m);
}

struct session_asker *
session_asks_asker(struct session_asks *a)
{
    return &a->asker;
}

struct session_asks *
session_asks_new(struct ev_loop *loop, unsigned slot)
{
    struct session_asks *a = xcalloc(1, sizeof *a);

    a->asker = (struct session_asker){begin, cancel};
    a->loop = loop;
    a->slot = slot;
    list_init(&a->jobs);
    ev_idle_init(&a->turns, on_idle);
    return a;
}

void
session_asks_use(struct session_asks *a, struct sessions *sessions)
{
    for (struct list *l = a->jobs.next, *next; l != &a->jobs; l = next) {
        next = l->next;
        job_free(a, container_of(l, struct job, link));
    }
    a->sessions = sessions;
}

void
session_asks_free(struct session_asks *a)
{
    if (a == NULL)
        return;
    require(a->own == NULL && list_is_empty(&a->jobs));
    ev_idle_stop(a->loop, &a->turns);
    free(a);
}
