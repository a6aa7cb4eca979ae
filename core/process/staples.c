#include "process/staples.h"

#include "base/log.h"
#include "base/slice.h"
#include "process/ocsp_helper.h"

#include <stdlib.h>
#include <string.h>

#define DELAY_FIRST 10. /* seconds after a failure; doubled from then on */
#define DELAY_MAX   3600.
#define PERIOD_MIN  10.

static void
put(const struct staple *one, struct message *m)
{
    message_init(m, MESSAGE_STAPLE);
    message_put_text(m, slice_of(one->what->name));
    message_put_text(m, (struct slice){one->der, one->der_len});
}

static void
forget(struct staple *one)
{
    free(one->chain);
    free(one->der);
    one->chain = one->der = NULL;
}

static struct staple *
first_due(const struct staples *s)
{
    struct staple *first = &s->all[0];

    for (size_t i = 1; i < s->count; i++) {
        if (s->all[i].due < first->due)
            first = &s->all[i];
    }
    return first;
}

static void
schedule(struct staples *s)
{
    struct ev_loop *loop = s->job.loop;

    ev_timer_stop(loop, &s->timer);
    if (s->count == 0 || s->job.running)
        return;
    double delay = first_due(s)->due - ev_time();
    ev_timer_set(&s->timer, delay > 0 ? delay : 0., 0.);
    ev_timer_start(loop, &s->timer);
}

static void
failed(struct staple *one, const char *why)
{
    ev_tstamp now = ev_time();
    bool shown = one->der != NULL && one->until > now;

    one->delay = one->delay > 0 ? one->delay * 2 : DELAY_FIRST;
    if (one->delay > DELAY_MAX)
        one->delay = DELAY_MAX;
    one->due = now + one->delay;
    if (one->what->must && !shown)
        log_error("certificate %s must be stapled and is not, so clients "
                  "refuse it: %s",
                  one->what->name, why);
    else
        log_warn("certificate %s: no OCSP status: %s%s", one->what->name, why,
                 shown ? "; the one of before is still shown" : "");
}

static bool
take(struct helper_job *job, struct message *m)
{
    struct staples *s = container_of(job, struct staples, job);
    struct staple *one = s->asking;
    ev_tstamp until = (ev_tstamp)message_get_i64(m);
    struct slice der = message_get_text(m);

    if (m->type != MESSAGE_STATUS || !message_is_whole(m))
        return false;
    forget(one);
    one->chain = xstrndup(one->what->chain, strlen(one->what->chain));
    one->der = xstrndup(der.ptr, der.len);
    one->der_len = der.len;
    one->until = until;
    return true;
}

static void
succeeded(struct staples *s, struct staple *one)
{
    double period = (one->until - ev_time()) / 2;
    struct message m;

    one->delay = 0;
    one->due = ev_time() + (period > PERIOD_MIN ? period : PERIOD_MIN);
    log_info("certificate %s: stapled", one->what->name);
    put(one, &m);
    s->tell(s->arg, &m);
}

static void
on_done(struct helper_job *job)
{
    struct staples *s = container_of(job, struct staples, job);
    struct staple *one = s->asking;

    s->asking = NULL;
    if (job->failure.text[0] != '\0')
        failed(one, job->failure.text);
    else if (one->der == NULL)
        failed(one, "the helper gave no answer");
    else
        succeeded(s, one);
    schedule(s);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct staples *s = container_of(timer, struct staples, timer);
    struct staple *one = first_due(s);
    struct message order;
    struct error err;

    (void)loop;
    (void)events;
    ocsp_helper_order(&order, one->what, &s->evaluation->identity);
    s->asking = one;
    if (!helper_job_start(&s->job, "@ocsp", &order, OCSP_HELPER_LIMIT, &err)) {
        s->asking = NULL;
        failed(one, err.text);
        schedule(s);
    }
}

static struct staple *
find(struct staple *all, size_t count, const struct plan_staple *what)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].chain != NULL && strcmp(all[i].chain, what->chain) == 0)
            return &all[i];
    }
    return NULL;
}

/* A status that is still about the certificate is taken over from `old`. */
static void
fill(struct staples *s, struct staple *old, size_t old_count)
{
    const struct plan *plan = &s->evaluation->plan;

    s->count = plan->staple_count;
    s->all = xcalloc(s->count + 1, sizeof *s->all);
    for (size_t i = 0; i < s->count; i++) {
        const struct plan_staple *what = &plan->staples[i];
        struct staple *before = find(old, old_count, what);
        s->all[i].due = ev_time();
        if (before != NULL) {
            s->all[i] = *before;
            before->chain = before->der = NULL;
        }
        s->all[i].what = what;
    }
}

static void
free_all(struct staple *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget(&all[i]);
    free(all);
}

void
staples_start(struct staples *s, struct ev_loop *loop,
              const struct evaluation *e,
              void (*tell)(void *arg, const struct message *m), void *arg)
{
    s->evaluation = e;
    s->tell = tell;
    s->arg = arg;
    helper_job_init(&s->job, loop);
    s->job.message = take;
    s->job.done = on_done;
    ev_init(&s->timer, on_timer);
    fill(s, NULL, 0);
    schedule(s);
}

void
staples_renew(struct staples *s)
{
    struct staple *old = s->all;
    size_t count = s->count;

    helper_job_cancel(&s->job);
    s->asking = NULL;
    fill(s, old, count);
    free_all(old, count);
    staples_tell(s, s->tell, s->arg);
    schedule(s);
}

void
staples_tell(const struct staples *s,
             void (*tell)(void *arg, const struct message *m), void *arg)
{
    struct message m;

    for (size_t i = 0; i < s->count; i++) {
        if (s->all[i].der == NULL || s->all[i].until <= ev_time())
            continue;
        put(&s->all[i], &m);
        tell(arg, &m);
    }
}

void
staples_stop(struct staples *s)
{
    if (s->evaluation == NULL)
        return;
    helper_job_cancel(&s->job);
    ev_timer_stop(s->job.loop, &s->timer);
    free_all(s->all, s->count);
    s->evaluation = NULL;
    s->all = NULL;
    s->count = 0;
}
