#include "lua/failure.h"

#include "base/check.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#define METATABLE "moongate.failure"

const char *
failure_name(enum failure kind)
{
    switch (kind) {
    case FAILURE_TIMEOUT:
        return "timeout";
    case FAILURE_CONNECT:
        return "connect";
    case FAILURE_TLS:
        return "tls";
    case FAILURE_DNS:
        return "dns";
    case FAILURE_PROTOCOL:
        return "protocol";
    case FAILURE_CLOSED:
        return "closed";
    case FAILURE_OVERLOAD:
        return "overload";
    case FAILURE_SERVER:
        return "server";
    case FAILURE_CANCELLED:
        return "cancelled";
    }
    unreachable();
}

static int
failure_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    return 1;
}

/* Replaces a failure at `index` by its text. */
static void
to_text(lua_State *L, int index)
{
    if (lua_istable(L, index)) {
        lua_getfield(L, index, "message");
        lua_replace(L, index);
    }
    if (!lua_isstring(L, index))
        (void)luaL_error(L, "attempt to concatenate a %s value",
                         luaL_typename(L, index));
}

static int
failure_concat(lua_State *L)
{
    to_text(L, 1);
    to_text(L, 2);
    lua_settop(L, 2);
    lua_concat(L, 2);
    return 1;
}

void
failure_push_object(lua_State *L, enum failure kind, const char *message)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, failure_name(kind));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    if (luaL_newmetatable(L, METATABLE)) {
        lua_pushcfunction(L, failure_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushcfunction(L, failure_concat);
        lua_setfield(L, -2, "__concat");
        lua_pushliteral(L, "failure");
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

int
failure_push(lua_State *L, enum failure kind, const char *format, ...)
{
    char message[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    lua_pushnil(L);
    failure_push_object(L, kind, message);
    return 2;
}
