/* evaluation_job.h -- a configuration that a helper evaluates while the
 * supervisor's loop turns. */
#pragma once

#include "process/helper_job.h"
#include "process/plan_transfer.h"

struct evaluation_job {
    struct helper_job job;
    struct evaluation result;
    bool complete;
    /* It has ended.  `errors` NULL: `result` is whole, and for the callee to
     * take; else every error, one a line. */
    void (*done)(void *arg, struct evaluation *result, const char *errors);
    void *arg;
};

void evaluation_job_init(struct evaluation_job *e, struct ev_loop *loop,
                         void (*done)(void *arg, struct evaluation *result,
                                      const char *errors),
                         void *arg);

bool evaluation_job_start(struct evaluation_job *e,
                          const struct config_order *order,
                          struct error *err) MUST_USE;

/* `done` is not called.  Also when it was never started, but initialised. */
void evaluation_job_cancel(struct evaluation_job *e);
