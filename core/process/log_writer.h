/* log_writer.h -- a bounded ring of log lines and the thread that writes them.
 *
 * A slow or full disk must never stall the loop: the loop only copies a line
 * into the ring, and when the ring is full the line is dropped and counted.
 * The count is logged as soon as lines get through again.  One a process. */
#pragma once

#include "process/log_target.h"

/* Makes the ring the sink of base/log.h and starts the thread, which owns
 * `target` from now on.  After any change of user: a thread keeps its own. */
bool log_writer_start(struct log_target target, struct error *err) MUST_USE;

/* Lines from now on go to `target`, which becomes the thread's: instead of
 * where they went so far, or if it `joins`, to both. */
void log_writer_retarget(struct log_target target, bool joins);

/* How many lines were dropped since it was started. */
uint64_t log_writer_dropped(void);

/* Writes what is in the ring, but for no longer than `seconds`, and sets the
 * sink back to standard error. */
void log_writer_stop(double seconds);
