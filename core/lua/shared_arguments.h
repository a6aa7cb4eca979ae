/* shared_arguments.h -- what the methods of shared tables are called with,
 * wherever the table is, and the values that they give.  Checks raise. */
#pragma once

#include "lua/dict.h"
#include "session/session.h"

#include <lua.h>

struct slice shared_check_key(lua_State *L, int index);

/* A string, a number or a boolean; the slice as long as it is on the stack. */
struct dict_value shared_check_value(lua_State *L, int index);
void shared_push_value(lua_State *L, const struct dict_value *v);

/* Milliseconds. */
uint64_t shared_now(lua_State *L);
/* That, and the end of what lives for the seconds at `index`, or for ever. */
struct dict_when shared_check_when(lua_State *L, int index);

/* How many may hold a place. */
uint64_t shared_check_limit(lua_State *L, int index);

/* One whose end can be waited for: a notification's is a copy. */
struct session *shared_check_session(lua_State *L, int index);
