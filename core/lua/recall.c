#include "lua/recall.h"

#include "lua/await.h"
#include "lua/vm.h"

#include <lauxlib.h>

int
recall_note(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *outcome = luaL_checkstring(L, 2);

    await_noted(L, name, outcome, lua_gettop(L) > 2 ? lua_gettop(L) - 2 : -1);
    return 0;
}

int
recall(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);

    if (!vm_of(L)->replays)
        return 0;
    lua_settop(L, 1);
    int results = await_recalled(L, name);
    lua_pushboolean(L, results >= 0);
    if (results < 0)
        return 1;
    lua_insert(L, -results - 1);
    return results + 1;
}
