/* spec_trace.h -- looks on at the sessions of this process, from Lua. */
#pragma once

#include <lua.h>

int spec_trace_open(lua_State *L); /* the module "moongate.spec.trace" */
