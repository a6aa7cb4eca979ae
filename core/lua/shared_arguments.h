/* shared_arguments.h -- what the methods of shared tables are called with,
 * wherever the table is.  All raise. */
#pragma once

#include "session/session.h"

#include <lua.h>

struct slice shared_check_key(lua_State *L, int index);

/* How many may hold a place. */
uint64_t shared_check_limit(lua_State *L, int index);

/* One whose end can be waited for: a notification's is a copy. */
struct session *shared_check_session(lua_State *L, int index);
