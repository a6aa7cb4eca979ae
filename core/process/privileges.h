/* privileges.h -- giving up for good what a process does not need.
 *
 * A process that faces the network must not be able to get anything back: no
 * user 0, no capabilities, nothing gained by an exec.  Each step is verified
 * after it was taken, and a step that failed ends the process. */
#pragma once

#include "base/check.h"
#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who a process becomes. */
struct identity {
    bool change; /* false: it was not started as root and stays who it is */
    uid_t uid;
    gid_t gid;
};

/* Looks up the configured names (NULL: "nobody", and the user's own group).
 * Without root there is nothing to change to. */
bool privileges_find(const char *user, const char *group,
                     struct identity *identity, struct error *err) MUST_USE;

/* Looks up who a file is to belong to; NULL: whom it belongs to anyway. */
bool privileges_find_owner(const char *user, const char *group, uid_t *uid,
                           gid_t *gid, struct error *err) MUST_USE;

/* Before any thread is started: becomes `identity`, drops all capabilities
 * and forbids gaining any. */
bool privileges_drop(const struct identity *identity,
                     struct error *err) MUST_USE;

/* No core file and no ptrace: memory holds passwords. */
bool privileges_seal_memory(struct error *err) MUST_USE;

/* The same, and a write to a closed connection is an error, not a signal. */
bool privileges_harden(struct error *err) MUST_USE;

/* Raises the limit of open descriptors as far as allowed; returns it. */
size_t privileges_raise_descriptors(void);
