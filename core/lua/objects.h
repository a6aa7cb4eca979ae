/* objects.h -- the userdata that policies hold, as C modules see them. */
#pragma once

#include "base/types.h"
#include "proto/dialog.h"

#include <lauxlib.h>
#include <lua.h>

/* The types that every hook has to do with: a state finds their metatables by
 * number, those of others by name. */
enum object_type {
    OBJECT_SECRET,
    OBJECT_DECISION,
    OBJECT_SESSION,
    OBJECT_VARS,
    OBJECT_CREDENTIALS,
    OBJECT_TYPES,
};

/* One of them in one state, from its first object on. */
struct object_metatable {
    const void *address; /* NULL: it had no object yet */
    int ref;
};

struct session;

/* Gives the userdata on the top the type: `events` are its metamethods,
 * `methods` (may be NULL) its `__index`.  Lua can't see the metatable. */
void object_become(lua_State *L, enum object_type type, const luaL_Reg *events,
                   const luaL_Reg *methods);

/* The userdata at `index` if it is of the type, or NULL. */
void *object_test(lua_State *L, int index, enum object_type type);

/* The same, but raises if it is not, as luaL_checkudata. */
void *object_check(lua_State *L, int index, enum object_type type);

/* Makes the type, once a state, without an object of it yet: see below. */
void object_make_type(lua_State *L, const char *name, const luaL_Reg *events,
                      const luaL_Reg *methods);

/* object_become, of a type that only has a name: luaL_checkudata and
 * luaL_testudata know it. */
void object_set_type(lua_State *L, const char *name, const luaL_Reg *events,
                     const luaL_Reg *methods);

/* The session at `index`; raises if it is none, or if its hook is over. */
struct session *object_session(lua_State *L, int index);

/* The credentials at `index`; raises if they are none, or wiped.  The user is
 * as the chain has set it (session:set_user). */
const struct credentials *object_credentials(lua_State *L, int index);

/* Raises `what: unknown field "usr" (did you mean "user"?)` in the caller's
 * place, or tells all names if none is like it; `names` ends with NULL. */
int object_unknown(lua_State *L, const char *what, const char *field,
                   const char *const *names);

/* The name most like `wanted` within two edits, or NULL. */
const char *nearest_name(const char *wanted, const char *const *names);
