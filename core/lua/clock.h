/* clock.h -- time for policies. */
#pragma once

#include <lua.h>

/* Monotonic seconds; under a spec, of its own clock. */
double clock_seconds(lua_State *L);

int clock_now(lua_State *L);   /* monotonic seconds */
int clock_time(lua_State *L);  /* seconds since 1970 */
int clock_sleep(lua_State *L); /* (seconds): awaits */
