/* redis_options.h -- what `redis.pool` is called with. */
#pragma once

#include "lua/redis_pool.h"

#include <lua.h>

/* Reads the table at `index` into `g`, whose pool it gets.  Raises. */
void redis_options_read(lua_State *L, int index, struct redis_group *g);
