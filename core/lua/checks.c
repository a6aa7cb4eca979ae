#include "lua/checks.h"

#include "base/slice.h"
#include "lua/objects.h"
#include "lua/redis_server.h"
#include "lua/secret.h"
#include "lua/target.h"
#include "lua/vm.h"
#include "net/addr.h"
#include "net/network.h"

#include <lauxlib.h>
#include <string.h>

#define ELEMENTS_MANY 1000
#define ELEMENTS_MAX  100000
#define NAMES_MAX     128

int
check_size(lua_State *L)
{
    size_t count = lua_istable(L, 1) ? lua_objlen(L, 1) : 0;

    if (count > ELEMENTS_MANY)
        vm_look_soon(vm_of(L));
    if (count <= ELEMENTS_MAX)
        return 0;
    luaL_where(L, 2);
    lua_pushliteral(L, "sort, insert and remove take tables of at most "
                       "100,000 elements");
    lua_concat(L, 2);
    return lua_error(L);
}

int
check_nearest(lua_State *L)
{
    const char *names[NAMES_MAX + 1];
    const char *wanted = luaL_checkstring(L, 1);
    size_t n = 0;

    luaL_checktype(L, 2, LUA_TTABLE);
    for (int i = 1; n < NAMES_MAX; i++) {
        lua_rawgeti(L, 2, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            break;
        names[n++] = lua_tostring(L, -1); /* anchored by the table */
        lua_pop(L, 1);
    }
    names[n] = NULL;
    lua_pushstring(L, nearest_name(wanted, names));
    return 1;
}

static struct slice
text_argument(lua_State *L)
{
    struct slice text;

    text.ptr = luaL_checklstring(L, 1, &text.len);
    return text;
}

static int
push_error(lua_State *L, bool right, const struct error *err)
{
    if (right)
        lua_pushnil(L);
    else
        lua_pushstring(L, err->text);
    return 1;
}

int
check_target(lua_State *L)
{
    struct target t = {0};
    struct error err;
    bool right = target_parse(text_argument(L), &t, &err);

    return push_error(L, right, &err);
}

int
check_pin(lua_State *L)
{
    unsigned char pin[TLS_PIN_SIZE];
    struct error err = {"not such a digest"};

    return push_error(L, target_parse_pin(text_argument(L), pin), &err);
}

int
check_ip(lua_State *L)
{
    struct addr a;
    struct error err = {"not an address"};

    return push_error(L, addr_parse_ip(text_argument(L), 0, &a), &err);
}

int
check_address(lua_State *L)
{
    struct addr a;
    struct error err;
    bool right = addr_parse(text_argument(L), 0, &a, &err);

    return push_error(L, right, &err);
}

int
check_network(lua_State *L)
{
    struct network n;
    struct error err;
    bool right = network_parse(text_argument(L), &n, &err);

    return push_error(L, right, &err);
}

int
check_redis(lua_State *L)
{
    struct redis_server server;
    struct slice url = {"", 0};
    struct error err;

    (void)secret_or_string(L, 1, &url);
    redis_server_init(&server);
    bool right = redis_server_parse(&server, url, lua_toboolean(L, 2), &err);
    redis_server_deinit(&server);
    return push_error(L, right, &err);
}

int
check_resolver(lua_State *L)
{
    struct slice text = text_argument(L);
    struct addr a;
    struct error err;
    bool right = addr_parse_ip(text, 53, &a) ||
                 (addr_parse(text, 53, &a, &err) && !addr_is_local(&a));

    (void)error_set(&err, "not an address");
    return push_error(L, right, &err);
}
