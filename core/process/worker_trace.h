/* worker_trace.h -- what is seen of a worker's sessions goes to those who follow
 * them at the control socket. */
#pragma once

#include "lua/trace.h"
#include "process/worker_link.h"

struct worker_trace {
    struct trace_observer looks_on, records;
    struct worker_link *link;
};

/* Nobody looks on yet; `link` outlives it. */
void worker_trace_init(struct worker_trace *t, struct worker_link *link);

/* Followers have come or gone. */
void worker_trace_update(struct worker_trace *t);
