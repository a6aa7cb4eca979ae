#include "lua/shared_arguments.h"

#include "lua/dict.h"
#include "lua/objects.h"

#include <math.h>

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
