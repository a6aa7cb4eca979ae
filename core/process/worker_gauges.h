/* worker_gauges.h -- what a worker does not count, but measures when it is
 * asked: sessions, connections, members of pools, certificates. */
#pragma once

#include "lua/lasting.h"
#include "session/sessions.h"

/* The names are made anew in `into`, which has none yet. */
void worker_gauges_read(struct counters *into, const struct sessions *sessions,
                        const struct lasting *lasting);
