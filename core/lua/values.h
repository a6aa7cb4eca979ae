/* values.h -- reading fields of a Lua table that was already checked. */
#pragma once

#include "base/arena.h"
#include "base/types.h"

#include <lua.h>

double value_number(lua_State *L, int table, const char *name);
bool value_flag(lua_State *L, int table, const char *name);

/* The text; ptr NULL if there is none.  Lives as long as the table. */
struct slice value_text(lua_State *L, int table, const char *name);

/* A copy in the arena. */
struct slice value_copy(lua_State *L, int table, const char *name,
                        struct arena *a);

/* The texts of a list, joined, in the arena; ptr NULL if there is no list. */
struct slice value_join(lua_State *L, int table, const char *name,
                        const char *between, struct arena *a);

/* Copies bytes and a NUL behind them. */
struct slice value_keep(struct arena *a, struct slice bytes);
