/* inspect.h -- what a generation that was just loaded is made of, as plain
 * tables for another Lua state: for `moongate check`. */
#pragma once

#include "lua/generation.h"

#include <lua.h>

/* Fills the table on the top of `L`:
 *
 *   files         { kind =, name =, path =, text = } of every Lua file read
 *                 that is not of the library, in that order
 *   policies      { name =, path =, shipped =, hooks = { auth = { line =,
 *                 parameters = } } }, in the order of their loading
 *   certificates  { name =, text =, level = } what is to be said of them
 *   listing       what moongate.check.listing tells of the configuration, if
 *                 there is one
 *
 * `g` may be one that could not be built to its end. */
void inspect_generation(struct generation *g, lua_State *L);
