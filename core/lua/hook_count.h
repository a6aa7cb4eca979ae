/* hook_count.h -- what is counted of hooks: calls, how they end, decisions. */
#pragma once

#include "lua/generation.h"
#include "session/session.h"

void hook_count_begin(struct generation *g);

/* A chain is asked: `hook` may also be HOOK_MECHANISMS or HOOK_INIT. */
void hook_count_call(struct generation *g, int hook);

/* It is over, after so many seconds. */
void hook_count_seconds(struct generation *g, int hook, double seconds);

/* A policy raised, or returned what the hook may not. */
void hook_count_error(struct generation *g, int hook,
                      const struct loaded_policy *p);
void hook_count_timeout(struct generation *g, int hook,
                        const struct loaded_policy *p);

/* It could not be asked: CALLS_MAX run already.  Logged, too. */
void hook_count_overload(struct generation *g, int hook,
                         const struct session *s);

/* What came of the whole chain. */
void hook_count_verdict(struct generation *g, enum hook hook,
                        const struct verdict *v);
