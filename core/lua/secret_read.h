/* secret_read.h -- secrets from outside, as lua_CFunctions.
 *
 * Each gives a Secret with the first line of what it found, or nil and the
 * message.  In a worker only what was asked for while the configuration was
 * evaluated is there. */
#pragma once

#include <lua.h>

int secret_read_file(lua_State *L);     /* (path) */
int secret_read_variable(lua_State *L); /* (name) of the environment */
int
secret_read_command(lua_State *L); /* ({ program, argument..., timeout = }) */
