/* policy_load.h -- the policies that listeners name, compiled and checked. */
#pragma once

#include "lua/generation.h"

/* Loads every policy of the configuration at index 1 of the state's stack, and
 * builds the chains.  All errors, one a line, in `errors`. */
bool policies_load(struct generation *g, char **errors);

/* The first half of it, for a configuration that has errors of its own, which
 * stand in `errors` already: those of the policies are added. */
bool policies_check(struct generation *g, char **errors);

void policies_free(struct generation *g);
