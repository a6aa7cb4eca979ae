/* check_host.h -- evaluates a configuration for a command that is written in
 * Lua, and tells it all that there is to know of the result. */
#pragma once

#include "lua/evaluate.h"

#include <lua.h>

/* process/helper.h's configuration_evaluate, with the result thrown away. */
typedef bool (*evaluate_fn)(const struct config_order *order, char **errors);
void check_host_use(evaluate_fn fn);

int check_host_open(lua_State *L); /* the module "moongate.check.host" */
