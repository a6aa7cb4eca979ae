/* trace_host.h -- looks on at the sessions of this process, from Lua. */
#pragma once

#include <lua.h>

int trace_host_open(lua_State *L); /* the module "moongate.trace.host" */
