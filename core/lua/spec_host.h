/* spec_host.h -- runs policies inside a spec: under lua/moongate/spec.lua.
 *
 * A generation is built as a worker builds it, in a Lua state of its own;
 * hooks run over a session that has no sockets. */
#pragma once

#include <lua.h>

int spec_host_open(lua_State *L); /* the module "moongate.spec.host" */
