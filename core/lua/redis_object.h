/* redis_object.h -- the pools that policies hold, as other modules see them. */
#pragma once

#include "lua/redis_pool.h"

#include <lua.h>

/* What the pool at `index` stands for, borrowed; raises if it is none. */
struct redis_group *redis_pool_check(lua_State *L, int index);
