/* socket_data.h -- what a policy sends. */
#pragma once

#include "base/buf.h"

#include <lua.h>

/* Appends the value at `index`: a string, a number, a Secret, or a list of
 * such.  Raises for anything else, and when it does not fit. */
void socket_data(lua_State *L, int index, struct buf *out);
