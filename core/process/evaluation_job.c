#include "process/evaluation_job.h"

#include "base/slice.h"

#include <stdlib.h>

#define TIME_LIMIT 60. /* seconds for one evaluation */

static bool
take(struct helper_job *job, struct message *m)
{
    struct evaluation_job *e = container_of(job, struct evaluation_job, job);

    return evaluation_take(&e->result, m, &e->complete);
}

static void
on_done(struct helper_job *job)
{
    struct evaluation_job *e = container_of(job, struct evaluation_job, job);
    struct slice errors = buf_bytes(&job->errors);

    if (errors.len == 0 && job->failure.text[0] != '\0')
        errors = slice_of(job->failure.text);
    if (errors.len == 0 && !e->complete)
        errors = S("the configuration could not be evaluated");
    char *text = errors.len > 0 ? xstrndup(errors.ptr, errors.len) : NULL;
    e->done(e->arg, &e->result, text);
    free(text);
    evaluation_deinit(&e->result);
}

void
evaluation_job_init(struct evaluation_job *e, struct ev_loop *loop,
                    void (*done)(void *arg, struct evaluation *result,
                                 const char *errors),
                    void *arg)
{
    *e = (struct evaluation_job){.done = done, .arg = arg};
    evaluation_init(&e->result);
    helper_job_init(&e->job, loop);
    e->job.message = take;
    e->job.done = on_done;
}

bool
evaluation_job_start(struct evaluation_job *e, const struct config_order *order,
                     struct error *err)
{
    struct message m;

    e->complete = false;
    message_init(&m, MESSAGE_EVALUATE);
    message_put_text(&m, slice_of(order->path));
    message_put_text(
        &m, order->environment != NULL ? slice_of(order->environment) : S(""));
    message_put_u64(&m, order->nginx);
    message_put_text(&m,
                     order->prefix != NULL ? slice_of(order->prefix) : S(""));
    return helper_job_start(&e->job, "@helper", &m, TIME_LIMIT, err);
}

void
evaluation_job_cancel(struct evaluation_job *e)
{
    helper_job_cancel(&e->job);
    evaluation_deinit(&e->result);
}
