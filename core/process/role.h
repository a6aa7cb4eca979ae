/* role.h -- what workers and the control process do alike: they are started by
 * the supervisor, serve strangers and end with it. */
#pragma once

#include "base/log.h"
#include "process/log_target.h"
#include "process/message.h"
#include "process/privileges.h"

/* Signals of a terminal or a service manager go to all processes; what they
 * mean, the supervisor tells. */
void role_ignore_signals(void);

/* Has the C library open now what it would otherwise open at its first use,
 * much later. */
void role_open_early(void);

/* Becomes `identity`, without privileges, core files or tracers, and ends with
 * the supervisor. */
bool role_give_up_privileges(const struct identity *identity,
                             struct error *err) MUST_USE;

/* From now on lines go to `target`, which becomes the log's. */
bool role_start_log(enum log_level level, enum log_format format,
                    struct log_target target, struct error *err) MUST_USE;

/* LOG: another target, or one more, level and format.  false: it is not whole. */
bool role_take_log(struct message *m) MUST_USE;
