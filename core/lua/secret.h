/* secret.h -- `Secret` userdata: bytes in C memory that Lua can pass on but
 * not see, wiped when it is collected or the decision is taken. */
#pragma once

#include "base/types.h"

#include <lua.h>

/* Pushes a Secret with a copy of `bytes`. */
void secret_push(lua_State *L, struct slice bytes);

/* The bytes of a Secret or of a Lua string at `index` (any module that takes a
 * password or a token takes either); false for anything else.  The slice lives
 * as long as the value is on the stack. */
bool secret_or_string(lua_State *L, int index, struct slice *bytes);

/* (texts and Secrets...): a Secret that holds the base64 of them all, joined. */
int secret_base64(lua_State *L);

/* Wipes now; a later use from Lua raises. */
void secret_wipe(lua_State *L, int index);
