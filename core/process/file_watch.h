/* file_watch.h -- notices that files have changed, by looking at them.
 *
 * A change is told of when the next look finds no other: what belongs together
 * is several files, and none is written in one go. */
#pragma once

#include "lua/evaluate.h"

#include <ev.h>

struct file_watch {
    struct ev_loop *loop;           /* set by the caller, as are the last two */
    const struct plan_files *files; /* NULL: not started */
    struct file_stamp *seen;        /* at the last look */
    struct file_stamp *known;       /* when it was told of last */
    ev_timer poll;
    /* They are not as they were read, or as they were the last time.  false:
     * not now, ask again. */
    bool (*changed)(void *arg);
    void *arg;
};

/* Looks every `seconds` whether `files`, which stay the caller's, are still as
 * they were when they were read. */
void file_watch_start(struct file_watch *w, double seconds,
                      const struct plan_files *files);

/* What they are now counts as known. */
void file_watch_forgive(struct file_watch *w);

/* Also when it was never started, but zeroed. */
void file_watch_stop(struct file_watch *w);
