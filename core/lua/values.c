#include "lua/values.h"

#include "base/check.h"
#include "base/slice.h"

#include <lauxlib.h>
#include <string.h>

double
value_number(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

bool
value_flag(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    bool value = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return value;
}

struct slice
value_text(lua_State *L, int table, const char *name)
{
    struct slice text = {0};

    lua_getfield(L, table, name);
    if (lua_type(L, -1) == LUA_TSTRING)
        text.ptr = lua_tolstring(L, -1, &text.len);
    lua_pop(L, 1);
    return text;
}

struct slice
value_keep(struct arena *a, struct slice bytes)
{
    char *memory = arena_alloc(a, bytes.len + 1);

    require(memory != NULL);
    if (bytes.len > 0)
        memcpy(memory, bytes.ptr, bytes.len);
    return (struct slice){memory, bytes.len};
}

struct slice
value_copy(lua_State *L, int table, const char *name, struct arena *a)
{
    struct slice text = value_text(L, table, name);

    return text.ptr == NULL ? text : value_keep(a, text);
}

struct slice
value_join(lua_State *L, int table, const char *name, const char *between,
           struct arena *a)
{
    struct slice joined = {0};

    lua_getfield(L, table, name);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        return joined;
    }
    int list = lua_gettop(L), count = (int)lua_objlen(L, list);
    lua_pushliteral(L, "");
    for (int i = 1; i <= count; i++) {
        lua_pushstring(L, i > 1 ? between : "");
        lua_rawgeti(L, list, i);
        lua_concat(L, 3);
    }
    joined.ptr = lua_tolstring(L, -1, &joined.len);
    joined = value_keep(a, joined);
    lua_settop(L, list - 1);
    return joined;
}
