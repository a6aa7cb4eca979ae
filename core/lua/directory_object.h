/* directory_object.h -- what the modules that ask directories have in common:
 * the object that their `pool` gives, and how its methods wait. */
#pragma once

#include "lua/directory.h"

#include <lauxlib.h>

/* Makes the class of the objects, once a Lua state. */
void directory_class(lua_State *L, const char *metatable,
                     const luaL_Reg *methods);

/* Pushes a new object. */
struct directory_client *directory_push(lua_State *L, const char *metatable);

/* The first argument of a method. */
struct directory_client *directory_self(lua_State *L, const char *metatable);

/* Pushes what directory_find will be given; until that has taken it over
 * (then it is to be zeroed) it is freed should anything raise.  `kind` may be
 * set later, with the settings. */
struct directory *directory_push_half_made(lua_State *L);

/* Asks, as a method's last act.  `push` pushes the answer, one value, and says
 * what came of it to who looks on; `q` is freed after it. */
int directory_await(lua_State *L, struct directory_client *c,
                    struct directory_question *q,
                    void (*push)(lua_State *L, struct directory_question *q));

/* For `push`: pushes the answer of a spec; false if there is none. */
bool directory_push_rehearsed(lua_State *L, struct directory_question *q);
