/* regex_lua.h -- what lua/moongate/re.lua is made of. */
#pragma once

#include <lua.h>

/* (subject, pattern, options, from, group): a table of what was captured, [0]
 * the whole, false for a group that took no part; the first and the last byte
 * of the group (0, the whole, by default), both 0 if it took no part.  nil: not found; nil, err: a bound was reached.  Raises for a bad pattern. */
int regex_lua_find(lua_State *L);
