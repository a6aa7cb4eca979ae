/* helper_job.h -- a throw-away process that the supervisor's loop waits for.
 *
 * It gets one order, answers with messages and ends.  The loop turns all the
 * while: whatever a helper does, workers are looked after. */
#pragma once

#include "base/buf.h"
#include "process/message.h"
#include "process/spawn.h"

#include <ev.h>

struct helper_job {
    struct ev_loop *loop;
    struct child child;
    ev_io io;
    ev_child exit;
    ev_timer limit;
    bool running;
    struct error failure; /* the first line of what went wrong; "" so far */
    struct buf errors;    /* all that it said of that */
    /* One message of it, but ERROR; false if it makes no sense. */
    bool (*message)(struct helper_job *job, struct message *m);
    /* It has gone; `job->failure` says how it failed.  The job may start
     * again. */
    void (*done)(struct helper_job *job);
};

void helper_job_init(struct helper_job *job, struct ev_loop *loop);

/* Starts `moongate ROLE` with its order; `seconds` at most. */
bool helper_job_start(struct helper_job *job, const char *role,
                      const struct message *order, double seconds,
                      struct error *err) MUST_USE;

/* Ends it; `done` is not called. */
void helper_job_cancel(struct helper_job *job);
