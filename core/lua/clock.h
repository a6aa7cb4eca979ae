/* clock.h -- time for policies. */
#pragma once

#include <lua.h>

int clock_now(lua_State *L);   /* monotonic seconds */
int clock_time(lua_State *L);  /* seconds since 1970 */
int clock_sleep(lua_State *L); /* (seconds): awaits */
