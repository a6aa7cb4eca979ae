/* interpreter.h -- the gateway's own LuaJIT with the whole standard library
 * and the gateway's modules: for the commands that are written in Lua, and as
 * `moongate lua FILE ...` for specs that need the real userdata. */
#pragma once

#include "lua/check_host.h"
#include "lua/share.h"

#include <lua.h>

/* argv[1] is the file, the rest its arguments.  The exit status: what the file
 * returns if that is a number, 0 otherwise, 1 after an error. */
int interpreter_run(int argc, char **argv);

/* The same for the file lua/moongate/command/<name>.lua of the library; all
 * that follows argv[0] are its arguments.  It may have configurations
 * evaluated by `evaluate`, through check_host.h. */
int interpreter_run_command(const char *name, int argc, char **argv,
                            evaluate_fn evaluate);

/* Lets a state with the whole standard library require the gateway's modules. */
void interpreter_set_modules(lua_State *L, const struct share *share);
