/* pool_object.h -- pools and upstreams as policies see them. */
#pragma once

#include "base/types.h"

#include <lua.h>

/* (address) -> what the worker knows of an upstream. */
int upstream_object_of(lua_State *L);

/* (name) -> a pool of the configuration. */
int pool_object_of(lua_State *L);

/* Raises `what: field: unknown pool "imp" (did you mean "imap"?)` if the
 * configuration has no such pool.  Without a configuration, as under `moongate
 * lua`, any will do. */
void pool_check(lua_State *L, const char *what, const char *field,
                struct slice name);
