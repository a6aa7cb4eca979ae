/* vars.h -- session.vars: a few plain values that outlive every hook.
 *
 * Kept in C, encoded, so that a relayed session holds no Lua and a later
 * generation of policies can read them.  Counted by reference: a `closed` hook
 * may still wait when its session is gone. */
#pragma once

#include "base/types.h"

#include <lua.h>

#define VARS_MAX ((size_t)8 << 10) /* bytes, encoded */

struct vars;

struct vars *vars_new(void);
struct vars *vars_ref(struct vars *v);
struct vars *vars_copy(const struct vars *v);
void vars_unref(struct vars *v); /* NULL is fine */

/* Pushes the value called by the key at `key`, or nil. */
void vars_get(const struct vars *v, lua_State *L, int key);

/* Stores the value at `value` (nil: forgets it).  Raises if it is not plain
 * data or there is no room. */
void vars_set(struct vars *v, lua_State *L, int key, int value);

/* Pushes a table with all of them. */
void vars_table(const struct vars *v, lua_State *L);
