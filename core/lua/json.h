/* json.h -- JSON to Lua values and back, for the modules in C. */
#pragma once

#include "base/types.h"

#include <lua.h>

/* Pushes the value and returns 1; or nil and a failure, and returns 2.  null
 * becomes nil, or stays `json.null` if `keep_null`. */
int json_decode(lua_State *L, struct slice text, bool keep_null);

/* Pushes the text of the value at `index` (absolute).  Raises for what JSON
 * can't hold, such as a Secret. */
void json_encode(lua_State *L, int index);
