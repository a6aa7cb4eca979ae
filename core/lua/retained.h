/* retained.h -- passwords that a policy keeps for a while after its decision:
 * to hash one anew, or to log in with it somewhere else. */
#pragma once

#include <lua.h>

#define RETAINED_SECONDS_MAX 60.

/* Has the Secret at `index` wiped `seconds` from now, or with the state. */
void retained_keep(lua_State *L, int index, double seconds);
