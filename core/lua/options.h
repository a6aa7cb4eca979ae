/* options.h -- reading a table of named options, strictly: an unknown name or
 * a wrong type raises in the policy's own line.  `what` is the function as the
 * policy calls it ("http.get"). */
#pragma once

#include "base/types.h"

#include <lua.h>

struct host;

struct options {
    lua_State *L;
    int index; /* absolute; of a table, nil or nothing */
    const char *what;
};

/* A part of the configuration is a frozen table, which lua_next can't walk:
 * replaces it at `index` (absolute) by the data behind it. */
void options_thaw(lua_State *L, int index);

/* Checks that there is a table (or nothing) with no other names than `names`,
 * which ends with NULL. */
struct options options_check(lua_State *L, int index, const char *what,
                             const char *const *names);

/* Pushes the value; false (and nil pushed) if it is not given. */
bool option_push(const struct options *o, const char *name);

struct option_range {
    double otherwise, min, max;
};
double option_number(const struct options *o, const char *name,
                     struct option_range range);
bool option_bool(const struct options *o, const char *name, bool otherwise);

/* A string or a Secret; false if not given.  Pushes the value, so that the
 * slice lives until the caller pops it. */
bool option_bytes(const struct options *o, const char *name,
                  struct slice *bytes);

/* min(wanted, what is left of the running hook), but never 0. */
double time_within(lua_State *L, double wanted);

/* The host of a running hook; raises where nothing runs yet: at the top level
 * of a module. */
const struct host *host_or_raise(lua_State *L);
