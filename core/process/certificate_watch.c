#include "process/certificate_watch.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL       0.4
#define TIME_LIMIT 60.

static bool
on_changed(void *arg)
{
    struct certificate_watch *w = arg;
    struct message order;
    struct error err;

    if (w->job.running)
        return false;
    message_init(&order, MESSAGE_RENEW);
    order.fds[0] = w->evaluation->bundle;
    if (!helper_job_start(&w->job, "@helper", &order, TIME_LIMIT, &err))
        log_error("certificates: the old ones stay: %s", err.text);
    return true;
}

static bool
take(struct helper_job *job, struct message *m)
{
    struct certificate_watch *w =
        container_of(job, struct certificate_watch, job);

    if (m->type == MESSAGE_FILE)
        return plan_take_file(&w->fresh.plan, m);
    if (m->type == MESSAGE_STAPLING)
        return plan_take_staple(&w->fresh.plan, m);
    return m->type == MESSAGE_BUNDLE && bundle_take(&w->fresh, m);
}

/* The helper has read the same files, in the same order. */
static void
replace(struct certificate_watch *w)
{
    struct evaluation *e = w->evaluation, old = *e;

    file_watch_stop(&w->files);
    e->plan.tls = w->fresh.plan.tls;
    e->plan.staples = w->fresh.plan.staples;
    e->plan.staple_count = w->fresh.plan.staple_count;
    e->bundle = w->fresh.bundle;
    memcpy(e->hash, w->fresh.hash, sizeof e->hash);
    w->fresh.plan.tls = old.plan.tls; /* to be freed */
    w->fresh.plan.staples = old.plan.staples;
    w->fresh.plan.staple_count = old.plan.staple_count;
    w->fresh.bundle = old.bundle;
    file_watch_start(&w->files, POLL, &e->plan.tls);
    w->renewed(w->arg);
}

static bool
read_the_same(const struct certificate_watch *w)
{
    const struct plan_files *files = &w->evaluation->plan.tls;
    const struct plan_files *fresh = &w->fresh.plan.tls;

    if (fresh->count != files->count)
        return false;
    for (size_t i = 0; i < files->count; i++) {
        if (strcmp(files->all[i].path, fresh->all[i].path) != 0)
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

    if (*failure == '\0' && (w->fresh.bundle < 0 || !read_the_same(w)))
        failure = "the helper read other files";
    if (*failure == '\0')
        replace(w);
    else
        log_error("certificates: the old ones stay: %s", failure);
    evaluation_deinit(&w->fresh);
}

void
certificate_watch_start(struct certificate_watch *w, struct ev_loop *loop,
                        struct evaluation *e, void (*renewed)(void *arg),
                        void *arg)
{
    w->evaluation = e;
    evaluation_init(&w->fresh);
    w->renewed = renewed;
    w->arg = arg;
    helper_job_init(&w->job, loop);
    w->job.message = take;
    w->job.done = on_done;
    w->files =
        (struct file_watch){.loop = loop, .changed = on_changed, .arg = w};
    file_watch_start(&w->files, POLL, &e->plan.tls);
}

void
certificate_watch_stop(struct certificate_watch *w)
{
    if (w->evaluation == NULL)
        return;
    file_watch_stop(&w->files);
    helper_job_cancel(&w->job);
    evaluation_deinit(&w->fresh);
    w->evaluation = NULL;
}
