/* openresty_dict.h -- what `ngx.shared` asks of a table in memory; of those in
 * Redis lua/moongate/compat/redis_dict.lua asks the same. */
#pragma once

#include <lua.h>

/* Pushes a table of functions, whose first argument is a table of
 * moongate.shared.  What does not succeed gives nil or false, and why in
 * OpenResty's words. */
void openresty_dict_push(lua_State *L);
