#include "session/sessions.h"

#include "base/check.h"
#include "base/slice.h"
#include "session/access_log.h"
#include "session/id.h"
#include "session/login_state.h"
#include "session/record.h"
#include "session/side.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>

#define SWEEP_SECONDS 2.0
#define PIPES_MAX     64

/* All that an idle relayed session keeps. */
static_assert(sizeof(struct session) <= 1024, "a session is small");

static void
free_session(struct session *s)
{
    struct sessions *all = s->home;

    record_deinit(&s->record);
    config_unref(s->config);
    free(s);
    all->count--;
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct sessions *all = container_of(w, struct sessions, bury);

    (void)loop, (void)events;
    for (struct list *l = all->graveyard.next, *next; l != &all->graveyard;
         l = next) {
        next = l->next;
        free_session(container_of(l, struct session, link));
    }
    list_init(&all->graveyard);
    ev_prepare_stop(all->loop, w);
    if (all->draining && all->count == 0 && all->emptied != NULL)
        all->emptied(all->emptied_arg);
}

/* Walks that would come to `s` next go on behind it. */
static void
step_over(const struct session *s)
{
    struct list *walks = &s->home->walks;

    for (struct list *l = walks->next; l != walks; l = l->next) {
        struct sessions_walk *w = container_of(l, struct sessions_walk, link);
        if (w->next == &s->link)
            w->next = s->link.next;
    }
}

void
sessions_bury(struct session *s)
{
    struct sessions *all = s->home;

    s->counts->in_phase[s->phase]--;
    ev_timer_stop(all->loop, &s->deadline);
    list_remove(&s->turn);
    all->policy->ops->forget(all->policy, s);
    step_over(s);
    list_remove(&s->link);
    list_append(&all->graveyard, &s->link);
    ev_prepare_start(all->loop, &all->bury);
}

/* One turn for each that waited when this round began. */
static void
on_idle(struct ev_loop *loop, ev_idle *w, int events)
{
    struct sessions *all = container_of(w, struct sessions, turns);
    struct list round;

    (void)loop, (void)events;
    list_init(&round);
    while (!list_is_empty(&all->runnable)) {
        struct list *item = all->runnable.next;
        list_remove(item);
        list_append(&round, item);
    }
    while (!list_is_empty(&round)) {
        struct session *s = container_of(round.next, struct session, turn);
        list_remove(&s->turn);
        session_run(s);
    }
    if (list_is_empty(&all->runnable))
        ev_idle_stop(all->loop, w);
}

void
sessions_again(struct session *s)
{
    struct sessions *all = s->home;

    list_remove(&s->turn);
    list_append(&all->runnable, &s->turn);
    if (!ev_is_active(&all->turns))
        ev_idle_start(all->loop, &all->turns);
}

/* A client that is not read has left if its connection was reset.  One that
 * has only said its last (FIN) still waits for the answers. */
static bool
has_departed(const struct session *s)
{
    struct pollfd p = {.fd = s->client.stream.fd};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

static void
on_sweep(struct ev_loop *loop, ev_timer *w, int events)
{
    struct sessions *all = container_of(w, struct sessions, sweep);
    bool more = false;

    (void)events;
    for (struct list *l = all->live.next, *next; l != &all->live; l = next) {
        struct session *s = container_of(l, struct session, link);
        next = l->next;
        if (s->login == NULL || ev_is_active(&s->client.watcher))
            continue;
        more = true;
        if (!has_departed(s))
            continue;
        s->client.broken = true;
        session_run(s);
    }
    if (!more)
        ev_timer_stop(loop, w);
}

void
sessions_sweep(struct sessions *all)
{
    if (!ev_is_active(&all->sweep))
        ev_timer_again(all->loop, &all->sweep);
}

struct sessions *
sessions_new(struct ev_loop *loop, struct dns *dns, struct pools *pools,
             struct policy *policy, struct config *config)
{
    struct sessions *all = xcalloc(1, sizeof *all);

    *all = (struct sessions){.loop = loop,
                             .dns = dns,
                             .pools = pools,
                             .policy = policy,
                             .config = config_ref(config)};
    config_list_members(config, pools);
    all->pool = splice_pool_new(PIPES_MAX);
    list_init(&all->live);
    list_init(&all->graveyard);
    list_init(&all->walks);
    list_init(&all->runnable);
    ev_prepare_init(&all->bury, on_prepare);
    ev_idle_init(&all->turns, on_idle);
    ev_timer_init(&all->sweep, on_sweep, 0., SWEEP_SECONDS);
    return all;
}

void
sessions_free(struct sessions *all)
{
    if (all == NULL)
        return;
    all->draining = false;
    sessions_end_all(all);
    on_prepare(all->loop, &all->bury, 0);
    require(all->count == 0);
    ev_idle_stop(all->loop, &all->turns);
    ev_timer_stop(all->loop, &all->sweep);
    config_unref(all->config);
    splice_pool_free(all->pool);
    while (all->learnt != NULL) {
        struct learnt *l = all->learnt;
        all->learnt = l->next;
        free(l->listener);
        free(l);
    }
    free(all);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int events)
{
    struct session *s = container_of(w, struct session, deadline);

    (void)loop, (void)events;
    s->deadline_passed = !s->rings_early;
    s->rings_early = false;
    if (s->deadline_passed)
        session_run(s);
}

void
sessions_renew(struct sessions *all, struct policy *policy,
               struct config *config)
{
    struct config *old = all->config;

    all->policy = policy;
    all->config = config_ref(config);
    config_unref(old);
    config_list_members(config, all->pools);
    for (struct list *l = all->live.next; l != &all->live; l = l->next) {
        struct session *s = container_of(l, struct session, link);
        if (s->login == NULL)
            session_adopt(s);
    }
}

void
sessions_forget(struct sessions *all, const struct policy *policy)
{
    for (struct list *l = all->live.next; l != &all->live; l = l->next) {
        struct session *s = container_of(l, struct session, link);
        if (s->login != NULL && s->login->policy == policy)
            session_let_go(s);
    }
}

struct capabilities *
sessions_learnt(struct sessions *all, struct slice name)
{
    for (struct learnt *l = all->learnt; l != NULL; l = l->next) {
        if (slice_equal(slice_of(l->listener), name))
            return &l->capabilities;
    }
    struct learnt *fresh = xcalloc(1, sizeof *fresh);
    fresh->listener = xstrndup(name.ptr, name.len);
    fresh->next = all->learnt;
    all->learnt = fresh;
    return &fresh->capabilities;
}

void
sessions_accept(struct sessions *all, const struct listener_config *listener,
                int fd, const struct addr *client)
{
    struct session *s = xcalloc(1, sizeof *s);

    s->home = all;
    s->config = config_ref(all->config);
    s->generation = s->config->generation;
    s->listener = listener;
    s->client_addr = *client;
    s->began = s->entered = ev_now(all->loop);
    s->login_by = s->began + listener->limits.login_timeout;
    s->upstream.stream.fd = -1;
    id_make(s->id);
    record_init(&s->record);
    list_init(&s->turn);
    list_append(&all->live, &s->link);
    all->count++;
    s->counts = &all->counts[proto_number(listener->proto)];
    s->counts->in_phase[s->phase]++;
    sessions_count_begin(s);
    ev_init(&s->deadline, on_deadline);
    session_client_open(s, fd);
    s->login = login_state_new(s, sessions_learnt(all, listener->name));
    session_arm(s);
    session_run(s);
}

void
sessions_drain(struct sessions *all, void (*emptied)(void *arg), void *arg)
{
    all->draining = true;
    all->emptied = emptied;
    all->emptied_arg = arg;
    for (struct list *l = all->live.next, *next; l != &all->live; l = next) {
        next = l->next;
        session_run(container_of(l, struct session, link));
    }
    ev_prepare_start(all->loop, &all->bury);
}

void
sessions_end_all(struct sessions *all)
{
    while (!list_is_empty(&all->live)) {
        struct session *s = container_of(all->live.next, struct session, link);
        s->stopped = true;
        session_run(s);
    }
}

void
sessions_walk_begin(struct sessions *all, struct sessions_walk *w)
{
    *w = (struct sessions_walk){.all = all, .next = all->live.next};
    list_append(&all->walks, &w->link);
}

struct session *
sessions_walk_next(struct sessions_walk *w)
{
    struct list *at = w->next;

    if (at == &w->all->live)
        return NULL;
    w->next = at->next;
    return container_of(at, struct session, link);
}

void
sessions_walk_end(struct sessions_walk *w)
{
    list_remove(&w->link);
}
