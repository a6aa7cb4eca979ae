/* patterns.h -- string.find, match, gmatch and gsub as policies have them: as
 * in LuaJIT, with base/pattern.h below. */
#pragma once

#include <lua.h>

int patterns_find(lua_State *L);
int patterns_match(lua_State *L);
int patterns_gmatch(lua_State *L);
int patterns_gsub(lua_State *L);
