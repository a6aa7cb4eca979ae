/* detach.h -- `moongate.detach`: work that no session waits for. */
#pragma once

#include <lua.h>

#define DETACHED_MAX     1000 /* of a worker */
#define DETACHED_SECONDS 30.

/* (function, arguments...): true; or nil, err when too many run.  It begins in
 * the loop's next round.  Sessions among the arguments are copies that can be
 * read as long as the function runs. */
int detach(lua_State *L);
