#include "lua/socket_data.h"

#include "lua/secret.h"

#include <lauxlib.h>

#define DEPTH_MAX 16

static void
append(lua_State *L, struct buf *out, int index, int depth)
{
    struct slice bytes;

    if (lua_type(L, index) == LUA_TNUMBER)
        (void)lua_tostring(L, index);
    if (secret_or_string(L, index, &bytes)) {
        if (!buf_append(out, bytes))
            (void)luaL_error(L, "socket: more than %d KiB in one send",
                             (int)(out->cap >> 10));
        return;
    }
    if (!lua_istable(L, index) || depth == 0)
        (void)luaL_argerror(L, 2, "a string, Secret or table of them");
    luaL_checkstack(L, 2, "socket");
    size_t count = lua_objlen(L, index);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        append(L, out, lua_gettop(L), depth - 1);
        lua_pop(L, 1);
    }
}

void
socket_data(lua_State *L, int index, struct buf *out)
{
    append(L, out, index, DEPTH_MAX);
}
