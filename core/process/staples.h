/* staples.h -- the supervisor's calendar of OCSP responses.
 *
 * A helper fetches and checks each, one at a time; the bytes go to the
 * workers, which check them again.  The supervisor looks at none of them. */
#pragma once

#include "process/helper_job.h"
#include "process/plan_transfer.h"

struct staple {
    const struct plan_staple *what;
    char *chain; /* that `der` is about */
    char *der;   /* NULL: none yet */
    size_t der_len;
    ev_tstamp until; /* when `der` ends */
    ev_tstamp due;   /* when it is to be fetched */
    double delay;    /* before the next try, after one that failed */
};

struct staples {
    const struct evaluation *evaluation;
    struct staple *all; /* as the plan has them */
    size_t count;
    struct staple *asking; /* or NULL */
    struct helper_job job;
    ev_timer timer;
    void (*tell)(void *arg, const struct message *m);
    void *arg;
};

/* `tell` is given what all workers are to be told. */
void staples_start(struct staples *s, struct ev_loop *loop,
                   const struct evaluation *e,
                   void (*tell)(void *arg, const struct message *m), void *arg);

/* The plan's have changed: tells those that still hold, fetches the others. */
void staples_renew(struct staples *s);

/* Tells what there is, for a worker that has just started. */
void staples_tell(const struct staples *s,
                  void (*tell)(void *arg, const struct message *m), void *arg);

/* Also when it was never started, but zeroed. */
void staples_stop(struct staples *s);
