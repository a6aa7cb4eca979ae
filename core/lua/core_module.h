/* core_module.h -- the functions under the Lua library: `moongate.core`.
 *
 * The prelude and lua/moongate build on it what policies see; policies have no
 * reason to require it. */
#pragma once

#include <lua.h>

/* Pushes a new table with all of them. */
void core_module_push(lua_State *L);
