/* log_target.h -- where log lines end up: standard error, a file, syslog.
 *
 * Opened by the supervisor alone; workers are given the descriptor. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

struct log_target {
    int fd;
    int facility; /* syslog's, for packets of its own format; -1: lines */
};

/* `text` is "stderr", "syslog:<facility>", or the path of a file to append
 * to.  The last part of a path may not be a symbolic link (except in /dev):
 * who can write to the folder could point it anywhere. */
bool log_target_open(const char *text, struct log_target *target,
                     struct error *err) MUST_USE;
void log_target_close(struct log_target *target);

/* Writes whole lines to a target of lines, or one line to syslog.  `level`
 * matters for syslog only.  Waits, but never for longer than a second on a
 * descriptor that does not block.  false with errno if it was not taken;
 * `*torn` tells whether the beginning of it was. */
bool log_target_write(const struct log_target *target, enum log_level level,
                      struct slice bytes, bool *torn) MUST_USE;
