/* redis_leases_object.h -- the places of a table in Redis, for the Lua library.
 */
#pragma once

#include <lua.h>

/* (redis pool, prefix of the keys): an object with the methods `lease`,
 * `give_back` and `leased` of a shared table.  A lua_CFunction. */
int redis_leases_object_new(lua_State *L);
