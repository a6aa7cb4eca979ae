/* log_target.h -- where log lines end up: standard error, files, syslog.
 *
 * Opened by the supervisor alone; the other processes are given descriptors. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "net/addr.h"
#include "process/message.h"

#define LOG_TAG_MAX     32
#define LOG_TARGETS_MAX 8

struct log_target {
    int fd;
    enum log_level level; /* the least important lines that it gets */
    /* Of syslog: packets, each a line. */
    int facility;       /* -1: plain lines */
    struct addr server; /* for when it was restarted */
    bool remote;        /* packets have their time, as RFC 3164 wants */
    bool nameless;      /* but not this host's name */
    char tag[LOG_TAG_MAX + 1];
};

struct log_targets {
    struct log_target all[LOG_TARGETS_MAX];
    size_t count;
};

/* `text` has a line for each, "LEVEL TARGET": the level's number, and
 * "stderr", "syslog:FACILITY[,server=ADDRESS][,tag=TAG][,nohostname]", or the
 * path of a file to append to.  The last part of a path may not be a symbolic
 * link (except in /dev): who can write to the folder could point it
 * anywhere. */
bool log_targets_open(const char *text, struct log_targets *targets,
                      struct error *err) MUST_USE;
void log_targets_close(struct log_targets *targets);
/* The same with descriptors of its own. */
bool log_targets_copy(const struct log_targets *from, struct log_targets *copy,
                      struct error *err) MUST_USE;
void log_target_close(struct log_target *target);

/* As fields of a message, and its descriptor number `fd`, which is borrowed. */
void log_target_put(const struct log_target *target, struct message *m,
                    size_t fd);
/* The descriptor becomes the target's. */
bool log_target_get(struct log_target *target, struct message *m,
                    size_t fd) MUST_USE;

/* LOG for the target number `i`: the first takes the place of all others that
 * there were, the others join it. */
void log_targets_tell(const struct log_targets *targets, size_t i,
                      enum log_level level, enum log_format format,
                      struct message *m);

/* Writes whole lines to a target of lines, or one line to syslog.  `level`
 * matters for syslog only.  Waits if `patient`, but never for longer than a
 * second on a descriptor that does not block.  false with errno if it was not taken;
 * `*torn` tells whether the beginning of it was. */
bool log_target_write(const struct log_target *target, enum log_level level,
                      struct slice bytes, bool patient, bool *torn) MUST_USE;
