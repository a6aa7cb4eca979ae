#include "process/reload.h"

#include "base/log.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREPARE_LIMIT   30. /* seconds for all workers together */
#define SETTLE_LIMIT    5.  /* for their word that they serve it */
#define PROBATION       30. /* seconds */
#define PROBATION_CALLS 20  /* hooks, before they tell anything */
#define PROBATION_BUGS  0.2 /* share of them */
#define WATCH_PERIOD    2.
#define ERRORS_MAX      ((size_t)64 * 1024)
#define REFUSAL_MAX     ((size_t)8 * 1024)

struct reload_order {
    struct list link;
    enum reload_kind kind;
    unsigned number;
    const char *reason;
    void (*done)(void *arg, bool ok, const char *text);
    void *arg;
};

static void begin_next(struct reload *r);

static bool
is_busy(const struct reload *r)
{
    return r->order != NULL || !list_is_empty(&r->orders);
}

static size_t
slot_count(const struct reload *r)
{
    return r->live->plan.workers;
}

static void
log_lines(struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');
        if (line.len > 0)
            log_error("reload: %.*s", (int)line.len, line.ptr);
    }
}

/* --- the end of an order --- */

/* `order` is in no list any more. */
static void
answer(struct reload_order *order, bool ok, const char *text)
{
    if (order->done != NULL)
        order->done(order->arg, ok, text);
    free(order);
}

static void
conclude(struct reload *r, bool ok, const char *text)
{
    struct reload_order *order = r->order;

    r->order = NULL;
    answer(order, ok, text);
    begin_next(r);
}

static void
forget_refusal(struct reload *r)
{
    free(r->refusal);
    r->refusal = NULL;
}

static void
remember_refusal(struct reload *r, struct slice text)
{
    text = slice_take(text, REFUSAL_MAX);
    forget_refusal(r);
    r->refusal = xstrndup(text.ptr, text.len);
    r->refused = ev_time();
}

/* Nothing has changed. */
static void
refuse(struct reload *r, const char *text)
{
    log_lines(slice_of(text));
    remember_refusal(r, slice_of(text));
    r->refusals++;
    log_error("reload refused: generation %u goes on", r->served.number);
    conclude(r, false, text);
}

static struct kept *
find_kept(struct reload *r, unsigned number)
{
    for (size_t i = 0; i < r->kept_count; i++) {
        if (number == 0 || r->kept[i].served.number == number)
            return &r->kept[i];
    }
    return NULL;
}

/* One that has come back is still known by the number that it had. */
static struct kept *
find_wanted(struct reload *r, unsigned number)
{
    struct kept *found = find_kept(r, number);

    for (size_t i = 0; found == NULL && i < r->kept_count; i++) {
        if (r->kept[i].served.origin == number)
            found = &r->kept[i];
    }
    return found;
}

/* What was prepared is given up.  A kept generation stays kept. */
static void
drop_next(struct reload *r)
{
    struct kept *origin =
        r->next_served.origin > 0 ? find_kept(r, r->next_served.origin) : NULL;

    if (origin != NULL)
        origin->evaluation = r->next;
    else
        evaluation_deinit(&r->next);
    evaluation_init(&r->next);
    sockets_close(&r->next_sockets);
    log_targets_close(&r->next_log);
}

static void
abort_next(struct reload *r, const char *why)
{
    struct message m;

    ev_timer_stop(r->host->loop, &r->limit);
    r->preparing = false;
    message_init(&m, MESSAGE_ABORT);
    message_put_u64(&m, r->next_served.number);
    for (size_t i = 0; i < slot_count(r); i++) {
        r->slots[i].preparing = 0;
        slot_tell(&r->slots[i], &m);
    }
    drop_next(r);
    refuse(r, why);
}

/* --- serving it --- */

static bool
is_the_same(const struct reload *r)
{
    return strcmp(r->next_served.hash, r->live->hash) == 0;
}

/* One of the same bundle as the next would only take another's place. */
static void
keep_live(struct reload *r)
{
    struct kept *youngest = &r->kept[0];

    if (is_the_same(r)) {
        evaluation_deinit(r->live);
        return;
    }
    if (r->kept_count == RELOAD_KEPT_MAX)
        evaluation_deinit(&r->kept[--r->kept_count].evaluation);
    memmove(youngest + 1, youngest, r->kept_count * sizeof *youngest);
    r->kept_count++;
    *youngest = (struct kept){r->served, *r->live};
}

static void
forget_origin(struct reload *r)
{
    struct kept *origin =
        r->next_served.origin > 0 ? find_kept(r, r->next_served.origin) : NULL;
    size_t behind;

    if (origin == NULL)
        return;
    behind = (size_t)(&r->kept[r->kept_count] - origin) - 1;
    memmove(origin, origin + 1, behind * sizeof *origin);
    r->kept_count--;
}

static bool
on_files_changed(void *arg)
{
    struct reload *r = arg;

    if (is_busy(r))
        return false;
    log_info("files of the configuration have changed");
    reload_order(r, RELOAD_FILES, 0, NULL, NULL);
    return true;
}

/* After a rollback the files are other ones than what serves: that is no
 * change. */
static void
watch_files(struct reload *r, enum reload_kind kind)
{
    file_watch_start(&r->watch, WATCH_PERIOD, &r->live->plan.sources);
    if (kind == RELOAD_ROLLBACK)
        file_watch_forgive(&r->watch);
}

static void
print_served(const struct reload *r, char *text, size_t size)
{
    (void)snprintf(text, size, "generation %u serves (%.12s)", r->served.number,
                   r->served.hash);
}

/* Whoever ordered it hears of it when no worker serves the old one. */
static void
conclude_commit(struct reload *r)
{
    char text[128];

    ev_timer_stop(r->host->loop, &r->limit);
    r->settling = false;
    print_served(r, text, sizeof text);
    log_info("%s: %s", r->served.reason, text);
    conclude(r, true, text);
}

void
reload_serving(struct reload *r)
{
    for (size_t i = 0; r->settling && i < slot_count(r); i++) {
        if (r->slots[i].committing == r->served.number)
            return;
    }
    if (r->settling)
        conclude_commit(r);
}

static void
set_limit(struct reload *r, double seconds)
{
    ev_timer_stop(r->host->loop, &r->limit);
    ev_timer_set(&r->limit, seconds, 0.);
    ev_timer_start(r->host->loop, &r->limit);
}

static void
commit(struct reload *r)
{
    enum reload_kind kind = r->order->kind;
    struct sockets old = *r->sockets;
    struct log_targets log = r->next_log;
    bool same = is_the_same(r);

    r->preparing = false;
    r->host->generation = r->next_served.number;
    for (size_t i = 0; i < slot_count(r); i++) {
        if (r->slots[i].state == SLOT_READY)
            slot_commit(&r->slots[i], r->next_served.number);
    }
    forget_origin(r);
    file_watch_stop(&r->watch);
    keep_live(r);
    *r->live = r->next;
    *r->sockets = r->next_sockets;
    evaluation_init(&r->next);
    r->next_sockets = (struct sockets){0};
    r->next_log.count = 0;
    r->served = r->next_served;
    r->served.since = ev_time();
    r->commits++;
    sockets_adjust(r->sockets, &r->live->plan);
    sockets_close(&old);
    watch_files(r, kind);
    forget_refusal(r);
    r->probation_ends =
        kind == RELOAD_FILES && !same ? ev_now(r->host->loop) + PROBATION : 0;
    r->renewed(r->arg, log.count > 0 ? &log : NULL);
    r->settling = true;
    set_limit(r, SETTLE_LIMIT);
    reload_serving(r);
}

/* --- preparing it --- */

static void
commit_if_prepared(struct reload *r)
{
    for (size_t i = 0; i < slot_count(r); i++) {
        if (r->slots[i].preparing == r->next_served.number)
            return;
    }
    commit(r);
}

void
reload_prepared(struct reload *r, struct slot *slot, unsigned generation,
                struct slice why)
{
    if (!r->preparing) { /* one that started too early, see reload_ready */
        if (why.len == 0) {
            slot_commit(slot, generation);
            return;
        }
        log_error("worker %u: generation %u: %.*s", slot->number, generation,
                  (int)why.len, why.ptr);
        slot_kill(slot, SIGKILL);
        return;
    }
    if (why.len == 0) {
        commit_if_prepared(r);
        return;
    }
    char *text = xstrndup(why.ptr, why.len);
    abort_next(r, text);
    free(text);
}

static void
on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct reload *r = container_of(timer, struct reload, limit);

    (void)loop;
    (void)events;
    if (r->preparing)
        abort_next(r, "the workers were not ready in time");
    else
        conclude_commit(r);
}

static bool
prepare_all(struct reload *r, struct error *err)
{
    bool any = false;

    for (size_t i = 0; i < slot_count(r); i++) {
        struct slot *slot = &r->slots[i];
        if (slot->state != SLOT_READY)
            continue;
        if (!slot_prepare(slot, r->next_served.number, &r->next_sockets,
                          r->next.bundle, err))
            return error_context(err, "worker %u", slot->number);
        any = true;
    }
    return any || error_set(err, "no worker is ready");
}

void
reload_ready(struct reload *r, struct slot *slot)
{
    struct error err;
    bool asked = true;

    if (r->preparing)
        asked = slot_prepare(slot, r->next_served.number, &r->next_sockets,
                             r->next.bundle, &err);
    else if (slot->generation != r->served.number)
        asked = slot_prepare(slot, r->served.number, r->sockets,
                             r->live->bundle, &err);
    if (!asked)
        slot_kill(slot, SIGKILL);
}

void
reload_down(struct reload *r, struct slot *slot)
{
    char why[64];

    slot->committing = 0;
    reload_serving(r);
    if (!r->preparing || slot->preparing != r->next_served.number)
        return;
    slot->preparing = 0;
    (void)snprintf(why, sizeof why, "worker %u died meanwhile", slot->number);
    abort_next(r, why);
}

/* --- what can't change while the gateway runs --- */

static bool
add_error(struct buf *errors, const char *text)
{
    if (!buf_printf(errors, "%s\n", text))
        log_error("reload: %s", text);
    return false;
}

static bool
same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* The first that is not in `others` as it is. */
static const struct plan_dict *
other_dict(const struct plan *plan, const struct plan *others)
{
    for (size_t i = 0; i < plan->dict_count; i++) {
        const struct plan_dict *d = &plan->dicts[i];
        if (i >= others->dict_count || others->dicts[i].size != d->size ||
            !same_text(others->dicts[i].name, d->name))
            return d;
    }
    return NULL;
}

/* Of the control socket. */
static bool
same_file(const struct listen_options *a, const struct listen_options *b)
{
    return a->mode == b->mode && a->owned == b->owned && a->owner == b->owner &&
           a->group == b->group;
}

/* Adds to `errors` that `what` is another, if it is. */
static void
refuse_if(bool differs, const char *what, struct buf *errors)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s: needs a restart", what);
    if (differs)
        (void)add_error(errors, text);
}

static void
refuse_dicts(const struct plan *old, const struct plan *new, struct buf *errors)
{
    const struct plan_dict *dict = other_dict(new, old);
    char text[512] = "";

    if (dict == NULL)
        dict = other_dict(old, new);
    if (dict != NULL)
        (void)snprintf(text, sizeof text, "shared.%s", dict->name);
    refuse_if(dict != NULL, text, errors);
}

static bool
is_frozen(const struct reload *r, struct buf *errors)
{
    const struct plan *old = &r->live->plan, *new = &r->next.plan;
    const struct identity *a = &r->live->identity, *b = &r->next.identity;
    char workers[64];

    (void)snprintf(workers, sizeof workers, "workers: %u -> %u", old->workers,
                   new->workers);
    refuse_if(old->workers != new->workers, workers, errors);
    refuse_if(a->change != b->change || a->uid != b->uid || a->gid != b->gid,
              "user, group", errors);
    refuse_if(!same_text(old->resolver, new->resolver) ||
                  old->valid != new->valid,
              "resolver", errors);
    refuse_if(!same_text(old->pid_file, new->pid_file), "pid_file", errors);
    refuse_if(old->descriptors != new->descriptors, "descriptors", errors);
    refuse_dicts(old, new, errors);
    refuse_if(!same_text(old->control, new->control) ||
                  !same_file(&old->control_socket, &new->control_socket),
              "control", errors);
    return !buf_is_empty(errors);
}

static bool
open_log(struct reload *r, struct buf *errors)
{
    struct error err;

    r->next_log.count = 0;
    if (same_text(r->live->plan.log_targets, r->next.plan.log_targets) ||
        log_targets_open(r->next.plan.log_targets, &r->next_log, &err))
        return true;
    return add_error(errors, err.text);
}

static bool
open_all(struct reload *r, struct buf *errors)
{
    return !is_frozen(r, errors) &&
           sockets_open(&r->next_sockets, r->sockets, &r->next.plan, errors) &&
           open_log(r, errors);
}

/* Everything that can fail without the workers; then theirs. */
static bool
prepare(struct reload *r, struct buf *errors)
{
    struct error err;

    if (!open_all(r, errors))
        return false;
    r->preparing = true;
    if (prepare_all(r, &err)) {
        set_limit(r, PREPARE_LIMIT);
        return true;
    }
    return add_error(errors, err.text);
}

/* `next` is what is to serve. */
static void
begin_preparing(struct reload *r)
{
    struct buf errors;

    buf_init(&errors, ERRORS_MAX);
    r->next_served.number = ++r->last_number;
    memcpy(r->next_served.hash, r->next.hash, sizeof r->next_served.hash);
    r->next_served.reason = r->order->reason;
    if (!prepare(r, &errors)) {
        struct slice bytes = buf_bytes(&errors);
        char *text = xstrndup(bytes.ptr, bytes.len);
        if (r->preparing) {
            abort_next(r, text);
        } else {
            drop_next(r);
            refuse(r, text);
        }
        free(text);
    }
    buf_deinit(&errors);
}

static void
on_evaluated(void *arg, struct evaluation *result, const char *errors)
{
    struct reload *r = arg;

    if (errors != NULL) {
        refuse(r, errors);
        return;
    }
    r->next = *result;
    evaluation_init(result);
    r->next_served.origin = 0;
    begin_preparing(r);
}

/* --- orders --- */

static void
begin_files(struct reload *r)
{
    struct error err;

    if (!evaluation_job_start(&r->evaluating, r->files, &err))
        refuse(r, err.text);
}

static void
begin_rollback(struct reload *r, unsigned number)
{
    struct kept *kept = find_wanted(r, number);
    char text[128];

    if (number > 0 &&
        (number == r->served.number || number == r->served.origin)) {
        print_served(r, text, sizeof text);
        conclude(r, true, text);
        return;
    }
    if (kept == NULL) {
        refuse(r, number == 0 ? "no generation of before is kept"
                              : "that generation is not kept");
        return;
    }
    r->next = kept->evaluation;
    evaluation_init(&kept->evaluation);
    r->next_served.origin = kept->served.number;
    begin_preparing(r);
}

static void
on_begin(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct reload *r = container_of(timer, struct reload, begin);
    struct reload_order *order =
        container_of(r->orders.next, struct reload_order, link);

    (void)loop;
    (void)events;
    list_remove(&order->link);
    r->order = order;
    if (order->kind == RELOAD_FILES)
        begin_files(r);
    else
        begin_rollback(r, order->number);
}

/* From the loop, since what ended the order before may be in the middle of
 * something. */
static void
begin_next(struct reload *r)
{
    if (list_is_empty(&r->orders) || r->order != NULL || r->stopped)
        return;
    ev_timer_set(&r->begin, 0., 0.);
    ev_timer_start(r->host->loop, &r->begin);
}

/* Nobody asks for an answer, and what still waits will read the files later
 * than now. */
static bool
is_pointless(const struct reload *r, const struct reload_order *wanted)
{
    return wanted->done == NULL && wanted->kind == RELOAD_FILES &&
           !list_is_empty(&r->orders) &&
           container_of(r->orders.prev, struct reload_order, link)->kind ==
               RELOAD_FILES;
}

static void
add_order(struct reload *r, const struct reload_order *wanted)
{
    bool busy = is_busy(r);
    struct reload_order *order;

    if (r->stopped) {
        if (wanted->done != NULL)
            wanted->done(wanted->arg, false, "the gateway is stopping");
        return;
    }
    if (is_pointless(r, wanted))
        return;
    order = xcalloc(1, sizeof *order);
    *order = *wanted;
    list_init(&order->link);
    list_append(&r->orders, &order->link);
    if (!busy)
        begin_next(r);
}

void
reload_order(struct reload *r, enum reload_kind kind, unsigned number,
             void (*done)(void *arg, bool ok, const char *text), void *arg)
{
    add_order(r, &(struct reload_order){
                     .kind = kind,
                     .number = number,
                     .reason = kind == RELOAD_FILES ? "reload" : "rollback",
                     .done = done,
                     .arg = arg,
                 });
}

/* --- differences --- */

static int
bundle_of(struct reload *r, unsigned number)
{
    struct kept *kept = number > 0 ? find_kept(r, number) : NULL;

    if (number == r->served.number)
        return r->live->bundle;
    return kept != NULL ? kept->evaluation.bundle : -1;
}

void
reload_diff(struct reload *r, unsigned from, unsigned to,
            void (*done)(void *arg, bool ok, const char *text), void *arg)
{
    int old = bundle_of(r, from), new = bundle_of(r, to);
    char text[64];

    if (old >= 0 && new >= 0) {
        differ_ask(&r->differ, old, new, done, arg);
        return;
    }
    (void)snprintf(text, sizeof text, "generation %u is not kept",
                   old < 0 ? from : to);
    done(arg, false, text);
}

void
reload_forget(struct reload *r, const void *arg)
{
    if (r->order != NULL && r->order->arg == arg)
        r->order->done = NULL;
    for (struct list *l = r->orders.next; l != &r->orders; l = l->next) {
        struct reload_order *order = container_of(l, struct reload_order, link);
        if (order->arg == arg)
            order->done = NULL;
    }
    differ_forget(&r->differ, arg);
}

/* --- probation --- */

/* All workers together, of those that serve the generation. */
static struct tally
count_up(const struct reload *r)
{
    struct tally all = {.generation = r->served.number};

    for (size_t i = 0; i < slot_count(r); i++) {
        const struct tally *one = &r->slots[i].tally;
        if (one->generation != r->served.number)
            continue;
        all.calls += one->calls;
        all.bugs += one->bugs;
    }
    return all;
}

static void
roll_back(struct reload *r, const struct tally *all)
{
    r->probation_ends = 0;
    log_error("generation %u: %llu of %llu hooks failed for a mistake of the "
              "policies; back to generation %u",
              r->served.number, (unsigned long long)all->bugs,
              (unsigned long long)all->calls, r->kept[0].served.number);
    add_order(r, &(struct reload_order){.kind = RELOAD_ROLLBACK,
                                        .number = r->kept[0].served.number,
                                        .reason = "probation"});
}

void
reload_tick(struct reload *r)
{
    struct tally all;

    if (r->probation_ends == 0 || is_busy(r))
        return;
    all = count_up(r);
    if (all.calls >= PROBATION_CALLS &&
        (double)all.bugs > PROBATION_BUGS * (double)all.calls &&
        r->kept_count > 0)
        roll_back(r, &all);
    else if (ev_now(r->host->loop) >= r->probation_ends)
        r->probation_ends = 0;
}

/* --- life --- */

void
reload_init(struct reload *r, struct slot_host *host,
            const struct config_order *files, struct evaluation *live,
            struct sockets *sockets)
{
    *r = (struct reload){
        .host = host,
        .files = files,
        .live = live,
        .sockets = sockets,
        .stopped = true,
    };
    list_init(&r->orders);
    evaluation_init(&r->next);
}

void
reload_start(struct reload *r, struct slot *slots)
{
    r->stopped = false;
    r->slots = slots;
    r->last_number = r->host->generation;
    r->served = (struct served){
        .number = r->host->generation, .since = ev_time(), .reason = "start"};
    memcpy(r->served.hash, r->live->hash, sizeof r->served.hash);
    evaluation_job_init(&r->evaluating, r->host->loop, on_evaluated, r);
    differ_init(&r->differ, r->host->loop);
    ev_init(&r->limit, on_limit);
    ev_init(&r->begin, on_begin);
    r->watch = (struct file_watch){
        .loop = r->host->loop, .changed = on_files_changed, .arg = r};
    watch_files(r, RELOAD_FILES);
}

void
reload_stop(struct reload *r)
{
    if (r->stopped)
        return;
    r->stopped = true;
    ev_timer_stop(r->host->loop, &r->limit);
    ev_timer_stop(r->host->loop, &r->begin);
    file_watch_stop(&r->watch);
    evaluation_job_cancel(&r->evaluating);
    differ_cancel(&r->differ);
    if (r->preparing)
        drop_next(r);
    r->preparing = r->settling = false;
    if (r->order != NULL)
        answer(r->order, false, "the gateway is stopping");
    r->order = NULL;
    for (struct list *l = r->orders.next, *next; l != &r->orders; l = next) {
        next = l->next;
        list_remove(l);
        answer(container_of(l, struct reload_order, link), false,
               "the gateway is stopping");
    }
    for (size_t i = 0; i < r->kept_count; i++)
        evaluation_deinit(&r->kept[i].evaluation);
    r->kept_count = 0;
    forget_refusal(r);
}
