#include "process/worker_link.h"

#include "base/list.h"
#include "base/slice.h"
#include "lua/lasting.h"
#include "lua/memo.h"
#include "process/worker_gauges.h"

#include <stdlib.h>
#include <unistd.h>

#define TURN_SESSIONS 512 /* looked at in a loop round, by one question */
#define TURN_KICKS    64
#define PATIENCE      10. /* seconds that control may leave us no room */

/* One question that is not answered yet. */
struct job {
    struct list link;
    struct question question; /* its `reason` is `reason` */
    char reason[REASON_MAX + 1];
    struct sessions_walk walk; /* SESSIONS, KICK */
    struct counter_row *rows;  /* COUNTERS; names are owned */
    size_t row_count, row_at;
    uint64_t count; /* sessions told of, or ended */
    uint64_t lost;  /* EVENTS; and whether control has heard that we listen */
    bool heard;
};

struct worker_link {
    struct worker_link_host host;
    int fd; /* -1: none */
    struct list jobs;
    size_t job_count;
    size_t followers[2]; /* who look on; who record */
    ev_io reading, writing;
    ev_idle turns;      /* some job has more to do */
    ev_timer impatient; /* runs while there is no room */
};

/* What a job's turn came to. */
enum turn {
    TURN_DONE,
    TURN_MORE,  /* another one in the next loop round */
    TURN_WAITS, /* for a grant, or for events */
    TURN_FULL,  /* for room */
    TURN_FAILED,
};

/* --- facts --- */

struct session_facts
worker_link_facts(const struct session *s)
{
    return (struct session_facts){
        .id = slice_of(s->id),
        .user = slice_of(s->record.user),
        .protocol = slice_of(s->listener->proto->name),
        .listener = s->listener->name,
        .phase = slice_of(phase_name(s->phase)),
        .client = &s->client_addr,
    };
}

static bool
is_meant(const struct job *j, const struct session *s)
{
    struct session_facts facts = worker_link_facts(s);

    return session_filter_matches(&j->question.filter, &facts);
}

static bool
put_session(const struct worker_link *l, const struct session *s,
            struct message *m)
{
    char client[ADDR_TEXT_MAX];
    struct session_row row = {
        .id = slice_of(s->id),
        .client = slice_of(addr_format(&s->client_addr, client)),
        .listener = s->listener->name,
        .protocol = slice_of(s->listener->proto->name),
        .user = slice_of(s->record.user),
        .upstream = slice_of(s->record.upstream),
        .pool = slice_of(s->record.pool),
        .phase = slice_of(phase_name(s->phase)),
        .tls = slice_of(s->record.tls),
        .seconds = ev_now(l->host.loop) - s->began,
        .in = s->up.bytes,
        .out = s->down.bytes,
        .generation = s->generation,
    };

    return session_row_put(&row, m);
}

/* --- jobs --- */

static bool
is_follower(const struct job *j, bool records)
{
    return j->question.kind == (records ? QUESTION_RECORD : QUESTION_EVENTS);
}

static void
count_follower(struct worker_link *l, const struct job *j, int change)
{
    for (int records = 0; records < 2; records++) {
        if (is_follower(j, records != 0)) {
            l->followers[records] += (size_t)change;
            l->host.followed(l->host.arg);
        }
    }
}

static void
job_free(struct worker_link *l, struct job *j)
{
    list_remove(&j->link);
    l->job_count--;
    count_follower(l, j, -1);
    if (j->question.kind == QUESTION_SESSIONS ||
        j->question.kind == QUESTION_KICK)
        sessions_walk_end(&j->walk);
    for (size_t i = 0; i < j->row_count; i++)
        free((void *)(uintptr_t)j->rows[i].name.ptr);
    free(j->rows);
    free(j);
}

static enum turn
turn_of(enum send sent, enum turn then)
{
    if (sent == SEND_DONE)
        return then;
    return sent == SEND_FULL ? TURN_FULL : TURN_FAILED;
}

static void
begin_answer(const struct job *j, enum message_type type, struct message *m)
{
    message_init(m, type);
    message_put_u64(m, j->question.id);
}

static enum turn
say_done(struct worker_link *l, const struct job *j)
{
    struct message m;

    begin_answer(j, MESSAGE_DONE, &m);
    message_put_u64(&m, j->count);
    return turn_of(message_try(l->fd, &m), TURN_DONE);
}

/* STATE, and DONE: both fit, or both are said again. */
static enum turn
tell_state(struct worker_link *l, struct job *j)
{
    struct worker_state state = {
        .generation = l->host.generation(l->host.arg),
        .sessions = l->host.sessions->count,
    };
    struct message m;

    begin_answer(j, MESSAGE_STATE, &m);
    worker_state_put(&state, &m);
    enum turn said = turn_of(message_try(l->fd, &m), TURN_DONE);
    return said == TURN_DONE ? say_done(l, j) : said;
}

/* One message of sessions; the walk goes back when it can't be sent. */
static enum turn
tell_sessions(struct worker_link *l, struct job *j)
{
    struct list *from = j->walk.next;
    struct message m;
    struct session *s = NULL;
    uint64_t told = 0;

    if (j->question.credit == 0)
        return TURN_WAITS;
    begin_answer(j, MESSAGE_SESSIONS, &m);
    for (size_t i = 0; i < TURN_SESSIONS; i++) {
        struct list *here = j->walk.next;
        s = sessions_walk_next(&j->walk);
        if (s == NULL)
            break;
        if (!is_meant(j, s))
            continue;
        if (!put_session(l, s, &m)) {
            j->walk.next = here;
            break;
        }
        told++;
    }
    if (told > 0) {
        enum turn said = turn_of(message_try(l->fd, &m), TURN_MORE);
        if (said != TURN_MORE) {
            j->walk.next = from;
            return said;
        }
        j->question.credit--;
        j->count += told;
    }
    return s == NULL ? say_done(l, j) : TURN_MORE;
}

static enum turn
kick_sessions(struct worker_link *l, struct job *j)
{
    size_t kicks = 0;

    for (size_t i = 0; i < TURN_SESSIONS && kicks < TURN_KICKS; i++) {
        struct session *s = sessions_walk_next(&j->walk);
        if (s == NULL)
            return say_done(l, j);
        if (s->phase == PHASE_CLOSE || !is_meant(j, s))
            continue;
        session_kick(s, j->question.reason);
        kicks++;
        j->count++;
    }
    return TURN_MORE;
}

/* As it is now: the registry may grow before all are told. */
static void
keep_counter(void *arg, const struct counter *counter)
{
    struct job *j = arg;
    size_t len = strlen(counter->name);
    struct counter_row *rows =
        realloc(j->rows, (j->row_count + 1) * sizeof *rows);

    require(rows != NULL);
    j->rows = rows;
    rows[j->row_count++] = (struct counter_row){
        .name = {xstrndup(counter->name, len), len},
        .value = counter->value,
        .is_gauge = counter->is_gauge,
        .is_of_policy = counter->is_of_policy,
    };
}

/* What has been counted, and what is measured now. */
static void
keep_counters(struct worker_link *l, struct job *j)
{
    struct counters *measured = counters_new(0);

    worker_gauges_read(measured, l->host.sessions, l->host.lasting);
    counters_each(l->host.lasting->counters, keep_counter, j);
    counters_each(measured, keep_counter, j);
    counters_free(measured);
}

static enum turn
tell_counters(struct worker_link *l, struct job *j)
{
    size_t at = j->row_at;
    struct message m;

    if (at == j->row_count)
        return say_done(l, j);
    if (j->question.credit == 0)
        return TURN_WAITS;
    begin_answer(j, MESSAGE_COUNTERS, &m);
    while (at < j->row_count && counter_row_put(&j->rows[at], &m))
        at++;
    enum turn said = turn_of(message_try(l->fd, &m), TURN_MORE);
    if (said == TURN_MORE) {
        j->row_at = at;
        j->question.credit--;
    }
    return said;
}

static enum turn
tell_event(struct worker_link *l, struct job *j, struct slice text)
{
    struct event event = {.lost = j->lost, .text = text};
    struct message m;

    begin_answer(j, MESSAGE_EVENT, &m);
    event_put(&event, &m);
    enum turn said = turn_of(message_try(l->fd, &m), TURN_WAITS);
    if (said == TURN_WAITS) {
        j->lost = 0;
        j->heard = true;
    }
    return said;
}

static enum turn
take_turn(struct worker_link *l, struct job *j)
{
    switch (j->question.kind) {
    case QUESTION_STATE:
        return tell_state(l, j);
    case QUESTION_SESSIONS:
        return tell_sessions(l, j);
    case QUESTION_KICK:
        return kick_sessions(l, j);
    case QUESTION_COUNTERS:
        return tell_counters(l, j);
    case QUESTION_EVENTS:
    case QUESTION_RECORD:
        return j->lost > 0 || !j->heard ? tell_event(l, j, S("")) : TURN_WAITS;
    case QUESTION_PURGE:
        return say_done(l, j);
    case QUESTION_COUNT:
        break;
    }
    unreachable();
}

/* --- the link --- */

static void
detach(struct worker_link *l)
{
    struct ev_loop *loop = l->host.loop;

    if (l->fd < 0)
        return;
    for (struct list *i = l->jobs.next, *next; i != &l->jobs; i = next) {
        next = i->next;
        job_free(l, container_of(i, struct job, link));
    }
    ev_io_stop(loop, &l->reading);
    ev_io_stop(loop, &l->writing);
    ev_idle_stop(loop, &l->turns);
    ev_timer_stop(loop, &l->impatient);
    (void)close(l->fd);
    l->fd = -1;
}

static void
wait_for_room(struct worker_link *l)
{
    struct ev_loop *loop = l->host.loop;

    ev_idle_stop(loop, &l->turns);
    if (ev_is_active(&l->writing))
        return;
    ev_io_start(loop, &l->writing);
    ev_timer_stop(loop, &l->impatient);
    ev_timer_set(&l->impatient, PATIENCE, 0.);
    ev_timer_start(loop, &l->impatient);
}

/* A turn for each job; a job that finds no room leaves none to the others. */
static void
take_turns(struct worker_link *l)
{
    struct ev_loop *loop = l->host.loop;
    bool more = false;

    if (ev_is_active(&l->writing))
        return;
    for (struct list *i = l->jobs.next, *next; i != &l->jobs; i = next) {
        struct job *j = container_of(i, struct job, link);
        next = i->next;
        enum turn turn = take_turn(l, j);
        if (turn == TURN_FAILED) {
            detach(l);
            return;
        }
        if (turn == TURN_FULL) {
            wait_for_room(l);
            return;
        }
        more |= turn == TURN_MORE;
        if (turn == TURN_DONE)
            job_free(l, j);
    }
    if (more)
        ev_idle_start(loop, &l->turns);
    else
        ev_idle_stop(loop, &l->turns);
}

static void
on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)loop;
    (void)events;
    take_turns(container_of(idle, struct worker_link, turns));
}

static void
on_room(struct ev_loop *loop, ev_io *io, int events)
{
    struct worker_link *l = container_of(io, struct worker_link, writing);

    (void)events;
    ev_io_stop(loop, io);
    ev_timer_stop(loop, &l->impatient);
    take_turns(l);
}

static void
on_impatient(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    log_warn("the control process does not read what it asked for");
    detach(container_of(timer, struct worker_link, impatient));
}

/* --- what control says --- */

static void
begin_job(struct worker_link *l, const struct question *question)
{
    struct job *j = xcalloc(1, sizeof *j);

    j->question = *question;
    if (question->reason.len > 0)
        memcpy(j->reason, question->reason.ptr, question->reason.len);
    j->question.purge = (struct purge){0};
    j->question.reason = (struct slice){j->reason, question->reason.len};
    list_append(&l->jobs, &j->link);
    l->job_count++;
    if (question->kind == QUESTION_SESSIONS ||
        question->kind == QUESTION_KICK) {
        sessions_walk_begin(l->host.sessions, &j->walk);
    } else if (question->kind == QUESTION_COUNTERS) {
        keep_counters(l, j);
    } else if (question->kind == QUESTION_PURGE) {
        memos_purge(l->host.lasting, question->purge.name, question->purge.key);
    }
    count_follower(l, j, 1);
}

static struct job *
find(struct worker_link *l, uint64_t id)
{
    for (struct list *i = l->jobs.next; i != &l->jobs; i = i->next) {
        struct job *j = container_of(i, struct job, link);
        if (j->question.id == id)
            return j;
    }
    return NULL;
}

static bool
take_ask(struct worker_link *l, struct message *m)
{
    struct question question;

    if (!question_get(&question, m) || l->job_count >= QUESTIONS_MAX ||
        find(l, question.id) != NULL)
        return false;
    begin_job(l, &question);
    return true;
}

/* One that has been answered meanwhile is none of ours any more. */
static bool
take_grant(struct worker_link *l, struct message *m)
{
    struct job *j = find(l, message_get_u64(m));
    uint64_t credit = message_get_u64(m);

    if (!message_is_whole(m) || credit > CREDIT_MAX)
        return false;
    if (j != NULL)
        j->question.credit += credit;
    return j == NULL || j->question.credit <= CREDIT_MAX;
}

static bool
take_forget(struct worker_link *l, struct message *m)
{
    struct job *j = find(l, message_get_u64(m));

    if (!message_is_whole(m))
        return false;
    if (j != NULL)
        job_free(l, j);
    return true;
}

static bool
take(struct worker_link *l, struct message *m)
{
    if (m->type == MESSAGE_QUESTION)
        return take_ask(l, m);
    if (m->type == MESSAGE_GRANT)
        return take_grant(l, m);
    return m->type == MESSAGE_FORGET && take_forget(l, m);
}

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct worker_link *l = container_of(io, struct worker_link, reading);
    struct message m;
    enum receive received = message_receive(l->fd, false, &m);
    bool valid = received == RECEIVE_DONE && take(l, &m);

    (void)loop;
    (void)events;
    message_deinit(&m);
    if (received == RECEIVE_AGAIN)
        return;
    if (valid) {
        take_turns(l);
        return;
    }
    if (received != RECEIVE_EOF)
        log_error("the control process spoke nonsense");
    detach(l);
}

/* --- outside --- */

bool
worker_link_follows(const struct worker_link *l,
                    const struct session_facts *facts, bool records)
{
    for (struct list *i = l->jobs.next; i != &l->jobs; i = i->next) {
        const struct job *j = container_of(i, struct job, link);
        if (is_follower(j, records) &&
            session_filter_matches(&j->question.filter, facts))
            return true;
    }
    return false;
}

bool
worker_link_has_followers(const struct worker_link *l, bool records)
{
    return l->followers[records ? 1 : 0] > 0;
}

/* Sends nothing itself that could fail the link under the caller's feet: a
 * link that is broken is noticed by on_message. */
void
worker_link_publish(struct worker_link *l, const struct session_facts *facts,
                    bool records, struct slice text)
{
    for (struct list *i = l->jobs.next; i != &l->jobs; i = i->next) {
        struct job *j = container_of(i, struct job, link);
        if (!is_follower(j, records) ||
            !session_filter_matches(&j->question.filter, facts))
            continue;
        if (!ev_is_active(&l->writing) && tell_event(l, j, text) == TURN_WAITS)
            continue;
        j->lost++;
        wait_for_room(l);
    }
}

void
worker_link_attach(struct worker_link *l, int fd)
{
    detach(l);
    l->fd = fd;
    ev_io_init(&l->reading, on_message, fd, EV_READ);
    ev_io_init(&l->writing, on_room, fd, EV_WRITE);
    ev_io_start(l->host.loop, &l->reading);
}

struct worker_link *
worker_link_new(const struct worker_link_host *host)
{
    struct worker_link *l = xcalloc(1, sizeof *l);

    l->host = *host;
    l->fd = -1;
    list_init(&l->jobs);
    ev_idle_init(&l->turns, on_idle);
    ev_init(&l->impatient, on_impatient);
    return l;
}

void
worker_link_free(struct worker_link *l)
{
    if (l == NULL)
        return;
    detach(l);
    free(l);
}
