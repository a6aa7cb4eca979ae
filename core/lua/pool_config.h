/* pool_config.h -- the `pools` of moongate.lua become C structs. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "session/config.h"

#include <lua.h>

/* Reads the gateway's `pools` into `c`.  Their members are those of `pools`,
 * references that pool_config_forget gives back, after a failure, too. */
bool pool_config_read(lua_State *L, int gateway, struct config *c,
                      struct pools *pools, struct arena *a,
                      struct error *err) MUST_USE;
void pool_config_forget(struct config *c);
