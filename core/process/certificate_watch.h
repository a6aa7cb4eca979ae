/* certificate_watch.h -- the supervisor's eye on the files of `tls` sections.
 *
 * It looks at when they were written and reads none of them: on a change a
 * helper does, and what it made of them goes to all workers.  Files that make
 * no sense change nothing, and are tried again when they have changed. */
#pragma once

#include "process/file_watch.h"
#include "process/helper_job.h"
#include "process/plan_transfer.h"

struct certificate_watch {
    struct evaluation *evaluation; /* its bundle and files are replaced */
    struct helper_job job;
    struct file_watch files;
    struct evaluation fresh; /* what the helper has made: files and bundle */
    void (*renewed)(void *arg);
    void *arg;
};

/* `renewed` is called each time `e` has a new bundle. */
void certificate_watch_start(struct certificate_watch *w, struct ev_loop *loop,
                             struct evaluation *e, void (*renewed)(void *arg),
                             void *arg);
/* Also when it was never started, but zeroed. */
void certificate_watch_stop(struct certificate_watch *w);
