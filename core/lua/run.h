/* run.h -- runs a function that may wait where there is no hook: in specs and
 * in commands. */
#pragma once

#include <lua.h>

/* (seconds, function): runs it as a hook would run, turning the loop, and
 * returns what it returns; raises what it raises, or "timeout". */
int run_function(lua_State *L);

/* `moongate.command.host`: the module that has it, as `run`. */
int command_host_open(lua_State *L);
