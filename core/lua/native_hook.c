#include "lua/native_hook.h"

#include <lauxlib.h>

#define MARK "__native_hook"

void
native_hook_mark(lua_State *L)
{
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, MARK);
}

struct native_hook *
native_hook_test(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA ||
        !luaL_getmetafield(L, index, MARK))
        return NULL;
    lua_pop(L, 1);
    return lua_touserdata(L, index);
}

bool
native_hook_serves(int hook)
{
    return hook == HOOK_AUTH || hook == HOOK_RCPT;
}
