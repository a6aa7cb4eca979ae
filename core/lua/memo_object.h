/* memo_object.h -- the half of lua/moongate/memoize.lua that is in C: where
 * results are remembered. */
#pragma once

#include <lua.h>

/* (name, capacity, persists): a store.  Methods, where `key` is what `key` has
 * made of the arguments, a text:
 *   key(arguments...)      get(key)            put(key, text, seconds)
 *   purges()               purge(arguments...) purge_all() */
int memo_object_new(lua_State *L);

/* (name, key or nil): forgets in all workers; true, or nil, err. */
int memo_object_purge(lua_State *L);
