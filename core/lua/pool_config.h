/* pool_config.h -- the `pools` of moongate.lua become C structs. */
#pragma once

#include "base/arena.h"
#include "base/check.h"
#include "base/error.h"
#include "session/config.h"

#include <lua.h>

struct pool_building {
    lua_State *L;
    struct pools *pools; /* whose members they are */
    struct arena *arena;
    struct error *err;
};

/* Reads the gateway's `pools` into `c`.  Their members are references that
 * pool_config_forget gives back, after a failure, too. */
bool pool_config_read(const struct pool_building *b, int gateway,
                      struct config *c) MUST_USE;
void pool_config_forget(struct config *c);
