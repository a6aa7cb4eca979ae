/* mod_shared.c -- `moongate.shared`: get(name), a table of small values that
 * all workers share and that reloads and dead workers leave alone.
 *
 * Each call is one transaction, over before it returns: nothing of Lua runs in
 * it.  Of tables in Redis lua/moongate/redis_table.lua makes another object,
 * with the same methods, which wait. */
#include "base/slice.h"
#include "lua/await.h"
#include "lua/failure.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/local_lease.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/shared_arguments.h"
#include "lua/shared_object.h"
#include "lua/vm.h"
#include "net/stand_in.h"

#include <lauxlib.h>
#include <math.h>

#define METATABLE "moongate.shared"
#define RATE_MIN  1e-6
#define RATE_MAX  1e6 /* tokens a second */

struct handle {
    size_t size;
    char name[SHARED_NAME_MAX + 1];
};

static struct handle *
check_handle(lua_State *L, int index)
{
    return luaL_checkudata(L, index, METATABLE);
}

static struct shared *
shared_of(lua_State *L)
{
    return host_of(L)->lasting->shared;
}

struct dict *
shared_object_dict(lua_State *L, int index)
{
    const struct handle *h = check_handle(L, index);
    struct error err;
    struct dict *d =
        shared_find(shared_of(L), slice_of(h->name), h->size, &err);

    if (d == NULL)
        (void)luaL_error(L, "%s", err.text);
    return d;
}

static struct dict *
check_dict(lua_State *L)
{
    return shared_object_dict(L, 1);
}

/* --- arguments and results --- */

static double
check_finite(lua_State *L, int index, double otherwise)
{
    double number = luaL_optnumber(L, index, otherwise);

    luaL_argcheck(L, isfinite(number), index, "a finite number expected");
    return number;
}

static int
push_failure(lua_State *L, enum dict_result result)
{
    const char *name = check_handle(L, 1)->name;

    switch (result) {
    case DICT_NO_NUMBER:
        return failure_push(L, FAILURE_PROTOCOL,
                            "shared %s: the value is no number", name);
    case DICT_NO_VALUE:
        return failure_push(L, FAILURE_PROTOCOL,
                            "shared %s: the value is a list", name);
    case DICT_TOO_LONG:
        return failure_push(L, FAILURE_OVERLOAD,
                            "shared %s: a value may have %d bytes", name,
                            (int)dict_value_max(check_dict(L)));
    case DICT_FULL:
        return failure_push(L, FAILURE_OVERLOAD,
                            "shared %s: no room beside the leases", name);
    case DICT_BUSY:
        return failure_push(L, FAILURE_OVERLOAD,
                            "shared %s: another worker keeps it locked", name);
    case DICT_DONE:
    case DICT_ABSENT:
    case DICT_PRESENT:
    case DICT_NO_LIST:
    case DICT_BROKEN:
        break;
    }
    return failure_push(L, FAILURE_PROTOCOL, "shared %s: it is damaged", name);
}

/* True if done, false if `otherwise` happened. */
static int
push_whether(lua_State *L, enum dict_result result, enum dict_result otherwise)
{
    if (result != DICT_DONE && result != otherwise)
        return push_failure(L, result);
    lua_pushboolean(L, result == DICT_DONE);
    return 1;
}

/* --- methods --- */

static int
dict_get_value(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct dict_value v;
    enum dict_result result =
        dict_get(d, shared_check_key(L, 2), shared_now(L), &v);

    if (result == DICT_DONE)
        shared_push_value(L, &v);
    else if (result == DICT_ABSENT)
        lua_pushnil(L);
    else
        return push_failure(L, result);
    return 1;
}

static int
dict_set_value(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);
    struct dict_value v = shared_check_value(L, 3);

    return push_whether(L, dict_set(d, key, &v, shared_check_when(L, 4)),
                        DICT_DONE);
}

static int
dict_add_value(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);
    struct dict_value v = shared_check_value(L, 3);

    return push_whether(L, dict_add(d, key, &v, shared_check_when(L, 4)),
                        DICT_PRESENT);
}

static int
dict_incr(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);
    double by = check_finite(L, 3, 1), number = check_finite(L, 4, 0);
    enum dict_result result =
        dict_add_to(d, key, by, shared_check_when(L, 5), &number);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, number);
    return 1;
}

/* (dict, key, rate, burst): true, or false and the seconds until there is a
 * token. */
static int
dict_take_token(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);
    double rate = luaL_checknumber(L, 3), burst = luaL_optnumber(L, 4, 1);

    luaL_argcheck(L, rate >= RATE_MIN && rate <= RATE_MAX, 3,
                  "tokens a second, from 1e-6 to 1e6, expected");
    luaL_argcheck(L, burst >= 1 && burst <= 1e6 && floor(burst) == burst, 4,
                  "a whole number from 1 to 1000000 expected");
    struct dict_bucket b = {.interval = 1000 / rate, .capacity = burst};
    enum dict_result result = dict_take(d, key, shared_now(L), &b);
    if (result != DICT_PRESENT)
        return push_whether(L, result, DICT_PRESENT);
    lua_pushboolean(L, 0);
    lua_pushnumber(L, b.wait / 1000);
    return 2;
}

static int
dict_delete_value(lua_State *L)
{
    struct dict *d = check_dict(L);

    return push_whether(
        L, dict_delete(d, shared_check_key(L, 2), shared_now(L)), DICT_ABSENT);
}

static int
dict_ttl(lua_State *L)
{
    struct dict *d = check_dict(L);
    uint64_t now = shared_now(L), expiry = 0;
    enum dict_result result =
        dict_expiry(d, shared_check_key(L, 2), now, &expiry);

    if (result != DICT_DONE && result != DICT_ABSENT)
        return push_failure(L, result);
    if (result == DICT_ABSENT)
        lua_pushnil(L);
    else
        lua_pushnumber(L, expiry == 0 ? (lua_Number)INFINITY
                                      : (double)(expiry - now) / 1000);
    return 1;
}

static int
dict_lease_key(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);
    uint64_t limit = shared_check_limit(L, 3);
    struct session *s = shared_check_session(L, 4);

    return push_whether(L, local_lease_take(s, shared_of(L), d, key, limit),
                        DICT_PRESENT);
}

static int
dict_give_back_key(lua_State *L)
{
    struct dict *d = check_dict(L);
    struct slice key = shared_check_key(L, 2);

    lua_pushboolean(L, lease_give_back(shared_check_session(L, 3), d, key));
    return 1;
}

static int
dict_leased_count(lua_State *L)
{
    struct dict *d = check_dict(L);
    uint64_t count = 0;
    enum dict_result result = dict_leased(d, shared_check_key(L, 2), &count);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, (lua_Number)count);
    return 1;
}

static const luaL_Reg methods[] = {
    {"get", dict_get_value},
    {"set", dict_set_value},
    {"add", dict_add_value},
    {"incr", dict_incr},
    {"delete", dict_delete_value},
    {"ttl", dict_ttl},
    {"lease", dict_lease_key},
    {"give_back", dict_give_back_key},
    {"leased", dict_leased_count},
    {"take", dict_take_token},
    {NULL, NULL},
};

static const luaL_Reg events[] = {{NULL, NULL}};

/* --- names --- */

static int
raise_unknown(lua_State *L, const struct config *c, const char *name)
{
    const char *names[SHARED_MAX + 1] = {NULL};

    for (size_t i = 0; i < c->dict_count && i < SHARED_MAX; i++)
        names[i] = c->dicts[i].name.ptr;
    const char *near = nearest_name(name, names);
    if (near != NULL)
        return luaL_error(L,
                          "shared.get: the configuration's `shared` has no "
                          "\"%s\" (did you mean \"%s\"?)",
                          name, near);
    return luaL_error(
        L, "shared.get: the configuration's `shared` has no \"%s\"", name);
}

/* The entry of the configuration; NULL in the interpreter, which has none. */
static const struct dict_config *
check_name(lua_State *L, const char *name)
{
    const struct generation *g = vm_of(L)->generation;

    if (g == NULL || g->config == NULL)
        return NULL;
    const struct dict_config *c = config_dict(g->config, slice_of(name));
    if (c == NULL)
        (void)raise_unknown(L, g->config, name);
    return c;
}

static int
push_redis_table(lua_State *L, const char *name)
{
    vm_core(L, "require");
    lua_pushliteral(L, "moongate.redis_table");
    lua_call(L, 1, 1);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    return 1;
}

/* Where there is no network, one in Redis is the process's own as well. */
static int
get_dict(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);

    luaL_argcheck(L, len >= 1 && len <= SHARED_NAME_MAX, 1,
                  "a name of 1 to 63 bytes expected");
    const struct dict_config *c = check_name(L, name);
    if (c != NULL && c->size == 0 && stand_in_of(host_of(L)->loop) == NULL)
        return push_redis_table(L, name);
    struct handle *h = lua_newuserdata(L, sizeof *h);
    *h = (struct handle){.size = c != NULL && c->size > 0 ? c->size
                                                          : DICT_SIZE_MIN};
    memcpy(h->name, name, len);
    object_set_type(L, METATABLE, events, methods);
    return 1;
}

int
mod_shared_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", get_dict}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
