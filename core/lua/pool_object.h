/* pool_object.h -- pools and upstreams as policies see them. */
#pragma once

#include "base/types.h"

#include <lua.h>

/* (address) -> what the worker knows of an upstream. */
int upstream_object_of(lua_State *L);

/* (name) -> a pool of the configuration. */
int pool_object_of(lua_State *L);

/* Raises `what: field: unknown pool "imp" (did you mean "imap"?)`. */
int pool_unknown(lua_State *L, const char *what, const char *field,
                 struct slice name);
