/* auth_options.h -- the options of auth_http.new, as a group of servers. */
#pragma once

#include "lua/auth_exchange.h"

#include <lua.h>

/* Reads the table at `index` (absolute) into `g`; raises for any mistake. */
void auth_options_read(lua_State *L, int index, struct auth_group *g);
