/* module.h -- the C modules that policies can `require`. */
#pragma once

#include <lua.h>

/* Each pushes its module table, as a lua_CFunction.  One file per module:
 * lua/mod_<name>.c; the list is lua/modules.def. */
#define MODULE(name, open) int open(lua_State *L);
#include "lua/modules.def"
#undef MODULE
