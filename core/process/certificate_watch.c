#include "process/certificate_watch.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A change is acted on when the next look finds no other: a certificate and
 * its key are two files, and neither is written in one go. */
#define POLL       0.4
#define TIME_LIMIT 60.

static bool
same(const struct certificate_watch *w, const struct file_stamp *a,
     const struct file_stamp *b)
{
    for (size_t i = 0; i < w->evaluation->plan.file_count; i++) {
        if (!file_stamp_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

static void
keep(const struct certificate_watch *w, struct file_stamp *to,
     const struct file_stamp *from)
{
    for (size_t i = 0; i < w->evaluation->plan.file_count; i++)
        to[i] = from[i];
}

/* Whether nothing has changed since the last look. */
static bool
look(struct certificate_watch *w)
{
    bool quiet = true;

    for (size_t i = 0; i < w->evaluation->plan.file_count; i++) {
        struct file_stamp now =
            file_stamp_now(w->evaluation->plan.files[i].path);
        quiet = quiet && file_stamp_equal(&now, &w->seen[i]);
        w->seen[i] = now;
    }
    return quiet;
}

static void
on_poll(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct certificate_watch *w =
        container_of(timer, struct certificate_watch, poll);
    struct message order;
    struct error err;

    (void)loop;
    (void)events;
    if (!look(w) || w->job.running || same(w, w->seen, w->tried))
        return;
    keep(w, w->tried, w->seen);
    message_init(&order, MESSAGE_RENEW);
    order.fds[0] = w->evaluation->bundle;
    if (!helper_job_start(&w->job, "@helper", &order, TIME_LIMIT, &err))
        log_error("certificates: the old ones stay: %s", err.text);
}

static bool
take(struct helper_job *job, struct message *m)
{
    struct certificate_watch *w =
        container_of(job, struct certificate_watch, job);

    if (m->type == MESSAGE_FILE)
        return plan_take_file(&w->plan, m);
    if (m->type == MESSAGE_STAPLING)
        return plan_take_staple(&w->plan, m);
    if (m->type != MESSAGE_BUNDLE || w->bundle >= 0)
        return false;
    w->bundle = message_take_fd(m, 0);
    return message_is_whole(m);
}

static void
forget(struct certificate_watch *w)
{
    plan_forget_files(&w->plan);
    plan_forget_staples(&w->plan);
    if (w->bundle >= 0)
        (void)close(w->bundle);
    w->bundle = -1;
}

/* The helper has read the same files, in the same order. */
static void
replace(struct certificate_watch *w)
{
    struct evaluation *e = w->evaluation;

    for (size_t i = 0; i < e->plan.file_count; i++) {
        e->plan.files[i].stamp = w->plan.files[i].stamp;
        w->tried[i] = w->plan.files[i].stamp;
    }
    plan_forget_staples(&e->plan);
    e->plan.staples = w->plan.staples;
    e->plan.staple_count = w->plan.staple_count;
    w->plan.staples = NULL;
    w->plan.staple_count = 0;
    (void)close(e->bundle);
    e->bundle = w->bundle;
    w->bundle = -1;
    w->renewed(w->arg);
}

static bool
read_the_same(const struct certificate_watch *w)
{
    const struct plan *plan = &w->evaluation->plan;

    if (w->plan.file_count != plan->file_count)
        return false;
    for (size_t i = 0; i < plan->file_count; i++) {
        if (strcmp(plan->files[i].path, w->plan.files[i].path) != 0)
            return false;
    }
    return true;
}

static void
on_done(struct helper_job *job)
{
    struct certificate_watch *w =
        container_of(job, struct certificate_watch, job);
    const char *failure = job->failure.text;

    if (*failure == '\0' && (w->bundle < 0 || !read_the_same(w)))
        failure = "the helper read other files";
    if (*failure == '\0')
        replace(w);
    else
        log_error("certificates: the old ones stay: %s", failure);
    forget(w);
}

void
certificate_watch_start(struct certificate_watch *w, struct ev_loop *loop,
                        struct evaluation *e, void (*renewed)(void *arg),
                        void *arg)
{
    size_t count = e->plan.file_count;

    w->evaluation = e;
    w->bundle = -1;
    w->renewed = renewed;
    w->arg = arg;
    w->seen = xcalloc(count + 1, sizeof *w->seen);
    w->tried = xcalloc(count + 1, sizeof *w->tried);
    for (size_t i = 0; i < count; i++)
        w->seen[i] = w->tried[i] = e->plan.files[i].stamp;
    helper_job_init(&w->job, loop);
    w->job.message = take;
    w->job.done = on_done;
    ev_timer_init(&w->poll, on_poll, POLL, POLL);
    if (count > 0)
        ev_timer_start(loop, &w->poll);
}

void
certificate_watch_stop(struct certificate_watch *w)
{
    if (w->evaluation == NULL)
        return;
    ev_timer_stop(w->job.loop, &w->poll);
    helper_job_cancel(&w->job);
    forget(w);
    free(w->seen);
    free(w->tried);
    w->evaluation = NULL;
}
