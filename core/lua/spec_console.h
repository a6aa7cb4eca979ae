/* spec_console.h -- Lua that is typed, in the state of a gateway's policies. */
#pragma once

#include <lua.h>

/* (gateway, name, text): calls the function `name` of moongate.console, in the
 * state of the policies, with the text; it may wait.  Its text; or nil and the
 * message of what it raised. */
int spec_console_call(lua_State *L);

/* (gateway, text): compiles it there, and calls "run" with the function.  The
 * same; or nil, the message, and whether the text is only the beginning. */
int spec_console_run(lua_State *L);
