/* threads.h -- a few threads for what would hold up the loop: hashing
 * passwords, reading a database in a file.
 *
 * One pool a process, one thread a core, each at a lower priority than the
 * loop.  At most THREADS_WAITING_MAX jobs wait; more is an overload that the
 * caller hears of at once.  A job must never wait for anybody, such as for a
 * lock of another process: there may be no other thread. */
#pragma once

#include "base/check.h"
#include "base/list.h"

#include <ev.h>

#define THREADS_WAITING_MAX 64

enum job_state { JOB_IDLE, JOB_WAITING, JOB_RUNNING, JOB_FINISHED };

/* Part of what a caller allocates; zeroed but for the functions. */
struct job {
    struct list link; /* what follows belongs to the pool */
    enum job_state state;
    bool dropped;
    /* In a thread. */
    void (*work)(struct job *job);
    /* On the loop, unless it was dropped: the job is the caller's again. */
    void (*done)(struct job *job);
    /* Once, if it was dropped: wipes and frees it.  In a thread, or at exit. */
    void (*discard)(struct job *job);
};

/* False: too many jobs are waiting, and this one stays the caller's.  All
 * calls must come from one loop; from another once the first has no job left.
 */
bool threads_submit(struct ev_loop *loop, struct job *job) MUST_USE;

/* The caller is through with the job, which may be idle, waiting or running:
 * `done` is not called any more. */
void threads_drop(struct job *job);

/* Whether a job of `loop` is under way. */
bool threads_are_busy(const struct ev_loop *loop);

/* `loop`, which has no job left, is to be destroyed. */
void threads_leave(struct ev_loop *loop);
