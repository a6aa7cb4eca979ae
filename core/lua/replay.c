#include "lua/replay.h"

#include "base/slice.h"
#include "lua/await.h"
#include "lua/json.h"
#include "lua/trace_answer.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#define KEY "moongate.replay"

/* Protected: argument is the text. */
static int
load(lua_State *L)
{
    const struct slice *text = lua_touserdata(L, 1);

    lua_settop(L, 0);
    if (json_decode(L, *text, true) != 1 || !lua_istable(L, 1))
        return luaL_error(L, "a recording's answers make no sense");
    lua_setfield(L, LUA_REGISTRYINDEX, KEY);
    return 0;
}

bool
replay_set(struct vm *vm, struct slice json, struct error *err)
{
    vm->replays = json.ptr != NULL;
    if (!vm->replays || lua_cpcall(vm->L, load, &json) == 0)
        return true;
    error_set(err, "%s", lua_tostring(vm->L, -1));
    lua_pop(vm->L, 1);
    return false;
}

/* Takes the first called `name` from the list and pushes its answer; `always`:
 * even if it has none, else of those that have one. */
static bool
take(lua_State *L, const char *name, bool always)
{
    lua_getfield(L, LUA_REGISTRYINDEX, KEY);
    int list = lua_gettop(L);
    for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
        lua_rawgeti(L, list, i);
        lua_getfield(L, -1, "what");
        bool is_it =
            lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), name) == 0;
        lua_getfield(L, -2, "answer");
        if (is_it && (always || lua_istable(L, -1))) {
            lua_pushliteral(L, "");
            lua_setfield(L, -4, "what");
            lua_replace(L, list);
            lua_settop(L, list);
            return true;
        }
        lua_settop(L, list);
    }
    lua_pop(L, 1);
    return false;
}

int
await_replayed(lua_State *L, const char *name)
{
    if (strncmp(name, "sleep ", 6) == 0)
        return 0;
    if (!take(L, name, false))
        return luaL_error(L, "the recording has no answer to: %s", name);
    return trace_answer_push(L, lua_gettop(L));
}

int
await_recalled(lua_State *L, const char *name)
{
    if (!take(L, name, true) || !lua_istable(L, -1))
        return -1;
    return trace_answer_push(L, lua_gettop(L));
}
