/* checks.h -- checks that the Lua library leaves to C, as lua_CFunctions. */
#pragma once

#include <lua.h>

/* (table): raises, in the place of the caller's caller, if a function that
 * moves its elements could take so long that nothing can stop it. */
int check_size(lua_State *L);

/* (wanted, names) -> the name that was probably meant, or nil. */
int check_nearest(lua_State *L);

/* (text) -> what is wrong with it, or nil. */
int check_target(lua_State *L);
int check_address(lua_State *L);
int check_resolver(lua_State *L);
int check_network(lua_State *L);
int check_ip(lua_State *L);
int check_pin(lua_State *L);
int
check_redis(lua_State *L); /* a URL or a Secret; what is wrong has none of it */
