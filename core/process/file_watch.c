#include "process/file_watch.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* Whether nothing has changed since the last look. */
static bool
look(struct file_watch *w)
{
    bool quiet = true;

    for (size_t i = 0; i < w->files->count; i++) {
        struct file_stamp now = file_stamp_now(w->files->all[i].path);
        quiet = quiet && file_stamp_equal(&now, &w->seen[i]);
        w->seen[i] = now;
    }
    return quiet;
}

static bool
is_known(const struct file_watch *w)
{
    for (size_t i = 0; i < w->files->count; i++) {
        if (!file_stamp_equal(&w->seen[i], &w->known[i]))
            return false;
    }
    return true;
}

static void
on_poll(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct file_watch *w = container_of(timer, struct file_watch, poll);

    (void)loop;
    (void)events;
    if (look(w) && !is_known(w) && w->changed(w->arg))
        memcpy(w->known, w->seen, w->files->count * sizeof *w->known);
}

void
file_watch_start(struct file_watch *w, double seconds,
                 const struct plan_files *files)
{
    w->files = files;
    w->seen = xcalloc(files->count + 1, sizeof *w->seen);
    w->known = xcalloc(files->count + 1, sizeof *w->known);
    for (size_t i = 0; i < files->count; i++)
        w->seen[i] = w->known[i] = files->all[i].stamp;
    ev_timer_init(&w->poll, on_poll, seconds, seconds);
    if (files->count > 0)
        ev_timer_start(w->loop, &w->poll);
}

void
file_watch_forgive(struct file_watch *w)
{
    (void)look(w);
    memcpy(w->known, w->seen, w->files->count * sizeof *w->known);
}

void
file_watch_stop(struct file_watch *w)
{
    if (w->files == NULL)
        return;
    ev_timer_stop(w->loop, &w->poll);
    free(w->seen);
    free(w->known);
    w->seen = w->known = NULL;
    w->files = NULL;
}
