/* shared_object.h -- the userdata that `moongate.shared` gives for a table in
 * memory. */
#pragma once

#include "lua/dict.h"

#include <lua.h>

/* Its table; raises if it is none, or if there is no memory for it. */
struct dict *shared_object_dict(lua_State *L, int index);
