/* spawn.h -- another process of the gateway: fork, then exec of itself.
 *
 * The exec gives every process an address-space layout and a stack canary of
 * its own, and nothing of its parent's memory. */
#pragma once

#include "base/check.h"
#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Where a child finds its end of the message socket. */
#define SPAWN_FD 3

struct child {
    pid_t pid;
    int fd; /* our end of the message socket, close-on-exec */
};

/* Starts `moongate ROLE ARGUMENT`. */
bool spawn(const char *role, const char *argument, struct child *child,
           struct error *err) MUST_USE;
