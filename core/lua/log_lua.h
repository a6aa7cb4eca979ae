/* log_lua.h -- log lines that policies write. */
#pragma once

#include <lua.h>

/* Logs (level, message, fields or nil) from `index` on, after `prefix`.
 * Secrets among them raise; the running hook's password is blotted out. */
void log_from_lua(lua_State *L, int index, const char *prefix);
