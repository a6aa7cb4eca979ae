/* config.h -- the checked Lua table of moongate.lua becomes C structs. */
#pragma once

#include "lua/evaluate.h"
#include "lua/generation.h"
#include "session/config.h"

#include <lua.h>

/* Builds the session layer's configuration from the table at `index`, with one
 * reference.  A listener with several addresses becomes several. */
struct config *config_build(const struct generation *g, int index,
                            struct error *err);

/* Fills `plan` from the same table; its listeners are those of `config`. */
void plan_build(lua_State *L, int index, const struct config *config,
                struct plan *plan);
