/* shared_dicts.h -- the memory of the dicts that all workers share.
 *
 * The supervisor makes it and keeps it for those still to be started, so that
 * it outlives all of them; of what is in it, it only sees who has the lock. */
#pragma once

#include "base/check.h"
#include "lua/evaluate.h"

#include <sys/types.h>

struct shared_dict;

struct shared_dicts {
    struct shared_dict *all;
    size_t count;
};

bool shared_dicts_create(struct shared_dicts *s, const struct plan *plan,
                         struct error *err) MUST_USE;
void shared_dicts_close(struct shared_dicts *s);

/* Hands them to a worker that starts. */
bool shared_dicts_send(const struct shared_dicts *s, int fd,
                       struct error *err) MUST_USE;

/* To be called ten times a second: `kept` is told, once, of a process that has
 * not let go of the lock of a dict for a second.  No call takes that long. */
void shared_dicts_tick(struct shared_dicts *s,
                       void (*kept)(void *arg, pid_t process, const char *name),
                       void *arg);
