/* differ.h -- what differs between two generations, found by a helper.
 *
 * Bundles hold passwords and keys, so the supervisor reads neither; the helper
 * names data files and shows the text of Lua files only. */
#pragma once

#include "base/list.h"
#include "process/helper_job.h"

struct question;

struct differ {
    struct helper_job job;
    struct question *asked; /* being answered; or NULL */
    struct list questions;  /* that wait */
    struct buf text;
};

void differ_init(struct differ *d, struct ev_loop *loop);

/* Tells `done` what differs between two bundles, which are copied; or why that
 * can't be told. */
void differ_ask(struct differ *d, int from, int to,
                void (*done)(void *arg, bool ok, const char *text), void *arg);

/* Who asked is gone. */
void differ_forget(struct differ *d, const void *arg);

/* Whoever waits is told no. */
void differ_cancel(struct differ *d);
