/* probe.h -- asks upstreams what they offer before any user logs in.
 *
 * A listener with a `probe` interval and an upstream of its own is probed at
 * once and then at that interval; what is learnt is what its greeting and
 * capabilities tell clients.  A failed probe forgets nothing. */
#pragma once

#include "session/sessions.h"

struct probes;

/* One a worker and configuration; holds a reference to `config`. */
struct probes *probes_new(struct sessions *home, struct config *config);
void probes_free(struct probes *p); /* NULL is fine */
