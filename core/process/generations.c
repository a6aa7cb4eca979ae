#include "process/generations.h"

#include "base/log.h"
#include "lua/bundle.h"
#include "lua/lasting.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK  0.05 /* seconds between two looks at retired generations */
#define GRACE 5.   /* seconds that they get beyond the hooks' own budget */

struct deployed {
    struct list link; /* among the retired */
    struct generations *home;
    struct deployment deployment;
    struct bundle *bundle;
    struct generation *generation; /* NULL: waits for room */
    int fd;                        /* its bundle */
    bool rebuilt;                  /* serves as soon as it is ready */
    bool ready;                    /* `init` has run */
    ev_tstamp gone_by;             /* retired: its last moment; 0: it failed */
};

static void
deployed_free(struct deployed *d)
{
    if (d == NULL)
        return;
    if (d->generation != NULL)
        d->home->count--;
    generation_free(d->generation);
    if (d->bundle != NULL)
        bundle_close(d->bundle);
    (void)close(d->fd);
    deployment_deinit(&d->deployment);
    list_remove(&d->link);
    free(d);
}

/* --- preparing --- */

static void
look_soon(struct generations *g)
{
    if (!ev_is_active(&g->retiring))
        ev_timer_again(g->host->loop, &g->retiring);
}

/* It is freed later: this may be inside of what its `init` waited for. */
static void
bury(struct generations *g, struct deployed *d)
{
    list_append(&g->retired, &d->link);
    look_soon(g);
}

static void
fail(struct generations *g, const char *why)
{
    struct deployed *d = g->next;

    g->next = NULL;
    if (d->rebuilt)
        log_error("generation %u can't be rebuilt: %s",
                  d->deployment.generation, why);
    else
        g->prepared(g->arg, d->deployment.generation, why);
    bury(g, d);
}

static void
on_initialised(void *arg, bool ok, const char *error)
{
    struct deployed *d = arg;
    struct generations *g = d->home;

    if (d != g->next)
        return; /* given up meanwhile */
    if (!ok) {
        fail(g, error);
        return;
    }
    d->ready = true;
    if (d->rebuilt)
        look_soon(g);
    else
        g->prepared(g->arg, d->deployment.generation, NULL);
}

static bool
build(struct deployed *d, struct error *err)
{
    d->bundle = bundle_open(d->fd, err);
    if (d->bundle == NULL)
        return false;
    d->generation =
        generation_new(d->home->host, d->bundle, d->deployment.generation, err);
    if (d->generation == NULL)
        return false;
    d->home->count++;
    return generation_config(d->generation)->listener_count ==
               d->deployment.listener_count ||
           error_set(err, "the configuration differs from its plan");
}

static void
begin(struct generations *g)
{
    struct error err;

    if (!build(g->next, &err))
        fail(g, err.text);
    else
        generation_init(g->next->generation, on_initialised, g->next);
}

static struct deployed *
add_next(struct generations *g, const struct deployment *deployment, int fd)
{
    struct deployed *d = xcalloc(1, sizeof *d);

    if (g->next != NULL)
        generations_abort(g, g->next->deployment.generation);
    d->home = g;
    d->deployment = *deployment;
    d->fd = fd;
    list_init(&d->link);
    g->next = d;
    return d;
}

void
generations_prepare(struct generations *g, struct deployment *deployment,
                    int fd)
{
    (void)add_next(g, deployment, fd);
    if (g->count < GENERATIONS_MAX)
        begin(g);
}

void
generations_abort(struct generations *g, unsigned generation)
{
    struct deployed *d = g->next;

    if (d == NULL || d->deployment.generation != generation)
        return;
    g->next = NULL;
    deployed_free(d);
}

/* --- retiring --- */

/* The longest that a hook of it may still take. */
static double
patience(const struct deployed *d)
{
    const struct config *c = generation_config(d->generation);
    double longest = 0;

    for (size_t i = 0; i < c->listener_count; i++) {
        double budget = c->listeners[i].limits.hook_timeout;
        longest = budget > longest ? budget : longest;
    }
    return longest + GRACE;
}

/* What still runs in it is cancelled: a temporary failure for the client. */
static void
end_now(struct deployed *d)
{
    struct sessions *sessions = d->home->sessions;

    log_warn("generation %u: its last hooks are cancelled",
             d->deployment.generation);
    generation_cancel(d->generation);
    sessions_forget(sessions, generation_policy(d->generation));
}

void
generations_rebuild(struct generations *all, const struct generation *g)
{
    if (generations_current(all) != g)
        return;
    all->exhausted = true;
    look_soon(all);
}

/* The same once more, unless another is about to take its place anyway. */
static void
rebuild(struct generations *g)
{
    struct deployment again = g->current->deployment;
    size_t size = again.listener_count * sizeof *again.sockets;

    g->exhausted = false;
    if (g->next != NULL)
        return;
    log_warn("generation %u has filled its memory and is rebuilt",
             again.generation);
    again.sockets = xcalloc(again.listener_count, sizeof *again.sockets);
    memcpy(again.sockets, g->current->deployment.sockets, size);
    add_next(g, &again, fcntl(g->current->fd, F_DUPFD_CLOEXEC, 3))->rebuilt =
        true;
}

static void
free_retired(struct generations *g)
{
    for (struct list *l = g->retired.next, *next; l != &g->retired; l = next) {
        struct deployed *d = container_of(l, struct deployed, link);
        next = l->next;
        if (d->gone_by > 0 && !generation_is_idle(d->generation)) {
            if (ev_now(g->host->loop) < d->gone_by)
                continue;
            end_now(d);
        }
        log_debug("generation %u has ended", d->deployment.generation);
        deployed_free(d);
    }
}

static bool
waits_for_room(const struct generations *g)
{
    return g->next != NULL && g->next->generation == NULL;
}

static void
on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct generations *g = container_of(timer, struct generations, retiring);

    (void)events;
    free_retired(g);
    if (g->exhausted)
        rebuild(g);
    if (waits_for_room(g) && g->count < GENERATIONS_MAX)
        begin(g);
    if (g->next != NULL && g->next->rebuilt && g->next->ready)
        require(generations_commit(g, g->next->deployment.generation));
    if (list_is_empty(&g->retired) && !waits_for_room(g))
        ev_timer_stop(loop, timer);
}

static void
retire(struct generations *g, struct deployed *d)
{
    generation_retire(d->generation);
    if (generation_is_idle(d->generation)) {
        deployed_free(d);
        return;
    }
    d->gone_by = ev_now(g->host->loop) + patience(d);
    bury(g, d);
}

/* --- serving --- */

static void
take_over(struct generations *g, struct deployed *d)
{
    struct config *config = generation_config(d->generation);
    struct policy *policy = generation_policy(d->generation);

    if (g->sessions == NULL)
        g->sessions = sessions_new(g->host->loop, g->host->dns,
                                   g->host->lasting->pools, policy, config);
    else
        sessions_renew(g->sessions, policy, config);
    g->sessions->counters = g->host->lasting->counters;
    probes_free(g->probes);
    g->probes = probes_new(g->sessions, config);
    generation_serve(d->generation);
}

bool
generations_commit(struct generations *g, unsigned generation)
{
    struct deployed *old = g->current, *d = g->next;

    if (d == NULL || !d->ready || d->deployment.generation != generation)
        return false;
    g->next = NULL;
    g->current = d;
    take_over(g, d);
    if (old != NULL)
        retire(g, old);
    g->renewed(g->arg);
    return true;
}

struct generation *
generations_current(const struct generations *g)
{
    return g->current != NULL ? g->current->generation : NULL;
}

unsigned
generations_number(const struct generations *g)
{
    return g->current != NULL ? g->current->deployment.generation : 0;
}

const struct listener_config *
generations_listener(const struct generations *g, unsigned socket)
{
    const struct deployed *d = g->current;

    for (size_t i = 0; d != NULL && i < d->deployment.listener_count; i++) {
        if (d->deployment.sockets[i] == socket)
            return &generation_config(d->generation)->listeners[i];
    }
    return NULL;
}

void
generations_init(struct generations *g, const struct host *host)
{
    *g = (struct generations){.host = host};
    list_init(&g->retired);
    ev_timer_init(&g->retiring, on_look, LOOK, LOOK);
}

void
generations_deinit(struct generations *g)
{
    if (g->host == NULL)
        return;
    ev_timer_stop(g->host->loop, &g->retiring);
    probes_free(g->probes);
    sessions_free(g->sessions);
    deployed_free(g->next);
    for (struct list *l = g->retired.next, *next; l != &g->retired; l = next) {
        next = l->next;
        deployed_free(container_of(l, struct deployed, link));
    }
    deployed_free(g->current);
}
