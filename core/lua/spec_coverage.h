/* spec_coverage.h -- which lines of policies have run, of all gateways under a
 * spec. */
#pragma once

#include <lua.h>
#include <stdbool.h>

/* From now on lines are counted. */
void spec_coverage_begin(void);
bool spec_coverage_counts(void);

/* For struct host: the line that is about to run. */
void spec_coverage_line(lua_State *L, lua_Debug *activation);

/* Pushes { [path] = { [line] = how often } }. */
void spec_coverage_push(lua_State *L);
