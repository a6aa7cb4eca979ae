/* gate.h -- hooks that wait until another has done something: the first of
 * `moongate.memoize` asks, all others wait at the gate. */
#pragma once

#include <lua.h>

/* A closed gate, kept by the function that runs: when that is over, however
 * it is, the gate is open.  Methods: `wait(seconds)`, for ever if there are
 * none, tells whether the gate is open; `open()`, `is_open()`. */
int gate_new(lua_State *L);
