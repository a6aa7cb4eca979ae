#include "lua/shared_arguments.h"

#include "lua/clock.h"
#include "lua/objects.h"

#include <math.h>

#define TTL_MIN 0.001
#define TTL_MAX 1e9 /* seconds */

struct slice
shared_check_key(lua_State *L, int index)
{
    struct slice key;

    if (object_test(L, index, OBJECT_SECRET) != NULL)
        luaL_argerror(L, index, "a Secret is no key: use secret:hmac(key)");
    key.ptr = luaL_checklstring(L, index, &key.len);
    luaL_argcheck(L, key.len >= 1 && key.len <= DICT_KEY_MAX, index,
                  "a key of 1 to 8192 bytes expected");
    return key;
}

struct dict_value
shared_check_value(lua_State *L, int index)
{
    struct dict_value v = {.type = DICT_STRING};

    if (lua_type(L, index) == LUA_TSTRING) {
        v.text.ptr = lua_tolstring(L, index, &v.text.len);
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        v.type = DICT_NUMBER;
        v.number = lua_tonumber(L, index);
    } else if (lua_type(L, index) == LUA_TBOOLEAN) {
        v.type = DICT_BOOLEAN;
        v.number = lua_toboolean(L, index);
    } else if (object_test(L, index, OBJECT_SECRET) != NULL) {
        luaL_argerror(L, index, "a Secret is not kept");
    } else {
        luaL_argerror(L, index, "a string, a number or a boolean expected");
    }
    return v;
}

uint64_t
shared_now(lua_State *L)
{
    return (uint64_t)(clock_seconds(L) * 1000);
}

struct dict_when
shared_check_when(lua_State *L, int index)
{
    struct dict_when when = {.now = shared_now(L)};

    if (lua_isnoneornil(L, index))
        return when;
    double ttl = luaL_checknumber(L, index);
    luaL_argcheck(L, ttl >= TTL_MIN && ttl <= TTL_MAX, index,
                  "seconds from 0.001 to 1e9 expected");
    when.expiry = when.now + (uint64_t)ceil(ttl * 1000);
    return when;
}

uint64_t
shared_check_limit(lua_State *L, int index)
{
    double limit = luaL_checknumber(L, index);

    luaL_argcheck(L, limit >= 0 && limit <= 1e9 && floor(limit) == limit, index,
                  "a whole number expected");
    return (uint64_t)limit;
}

struct session *
shared_check_session(lua_State *L, int index)
{
    struct session *s = object_session(L, index);

    if (s->login == NULL)
        luaL_argerror(L, index, "a session that is not over expected");
    return s;
}

void
shared_push_value(lua_State *L, const struct dict_value *v)
{
    switch (v->type) {
    case DICT_STRING:
        lua_pushlstring(L, v->text.ptr, v->text.len);
        break;
    case DICT_NUMBER:
        lua_pushnumber(L, v->number);
        break;
    case DICT_LIST: /* is none */
        lua_pushnil(L);
        break;
    case DICT_BOOLEAN:
        lua_pushboolean(L, v->number != 0);
        break;
    }
}
