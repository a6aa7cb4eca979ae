#include "lua/openresty_dict.h"

#include "base/slice.h"
#include "lua/shared_arguments.h"
#include "lua/shared_object.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define WALK_ROWS 500 /* of one look */

static const char *
words(enum dict_result result)
{
    switch (result) {
    case DICT_ABSENT:
        return "not found";
    case DICT_PRESENT:
        return "exists";
    case DICT_NO_NUMBER:
        return "not a number";
    case DICT_NO_VALUE:
        return "value is a list";
    case DICT_NO_LIST:
        return "value not a list";
    case DICT_TOO_LONG:
    case DICT_FULL:
        return "no memory";
    case DICT_BUSY:
        return "another worker keeps it locked";
    case DICT_DONE:
    case DICT_BROKEN:
        break;
    }
    return "it is damaged";
}

static int
push_failure(lua_State *L, enum dict_result result)
{
    lua_pushnil(L);
    lua_pushstring(L, words(result));
    return 2;
}

/* --- values --- */

/* (table, key, whether it may be over): the value, its flags, whether it is
 * over. */
static int
get(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct slice key = shared_check_key(L, 2);
    uint64_t now = shared_now(L), from = lua_toboolean(L, 3) ? 0 : now;
    struct dict_value v;
    enum dict_result result = dict_get(d, key, from, &v);

    if (result == DICT_ABSENT) {
        lua_pushnil(L);
        return 1;
    }
    if (result != DICT_DONE)
        return push_failure(L, result);
    shared_push_value(L, &v);
    lua_pushnumber(L, v.flags);
    lua_pushboolean(L, v.expiry > 0 && v.expiry <= now);
    return 3;
}

typedef enum dict_result writer(struct dict *d, struct slice key,
                                const struct dict_value *value,
                                struct dict_when when);

/* (table, "set", "add" or "replace", key, value, seconds, flags, whether what
 * is not over stays): true, nil, whether that has been removed; or false, why,
 * whether. */
static int
store(lua_State *L)
{
    static const char *const names[] = {"set", "add", "replace", NULL};
    static writer *const writers[] = {dict_set, dict_add, dict_replace};
    struct dict *d = shared_object_dict(L, 1);
    writer *write = writers[luaL_checkoption(L, 2, NULL, names)];
    struct slice key = shared_check_key(L, 3);
    struct dict_value v = shared_check_value(L, 4);
    struct dict_when when = shared_check_when(L, 5);

    v.flags = (uint32_t)luaL_optnumber(L, 6, 0);
    when.keeps = lua_toboolean(L, 7);
    enum dict_result result = write(d, key, &v, when);
    lua_pushboolean(L, result == DICT_DONE);
    if (result == DICT_DONE)
        lua_pushnil(L);
    else
        lua_pushstring(L, words(result));
    lua_pushboolean(L, dict_has_forced(d));
    return 3;
}

/* (table, key, number, where to begin or nil, seconds): the sum, nil, whether
 * what is not over has been removed. */
static int
incr(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct slice key = shared_check_key(L, 2);
    double by = luaL_checknumber(L, 3), sum = luaL_optnumber(L, 4, 0);
    struct dict_when when = shared_check_when(L, 5);
    enum dict_result result =
        lua_isnoneornil(L, 4) ? dict_add_to_present(d, key, by, when.now, &sum)
                              : dict_add_to(d, key, by, when, &sum);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, sum);
    lua_pushnil(L);
    lua_pushboolean(L, dict_has_forced(d));
    return 3;
}

/* True, or nil and why; `fine` is as good. */
static int
push_done(lua_State *L, enum dict_result result, enum dict_result fine)
{
    if (result != DICT_DONE && result != fine)
        return push_failure(L, result);
    lua_pushboolean(L, 1);
    return 1;
}

static int
delete_key(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct slice key = shared_check_key(L, 2);

    return push_done(L, dict_delete(d, key, shared_now(L)), DICT_ABSENT);
}

/* (table, key, seconds or nil) */
static int
expire(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct slice key = shared_check_key(L, 2);

    return push_done(L, dict_expire(d, key, shared_check_when(L, 3)),
                     DICT_DONE);
}

/* 0: forever. */
static int
ttl(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct slice key = shared_check_key(L, 2);
    uint64_t now = shared_now(L), expiry;
    enum dict_result result = dict_expiry(d, key, now, &expiry);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, expiry == 0 ? 0 : (double)(expiry - now) / 1000);
    return 1;
}

/* --- lists --- */

/* A key at the second index, "front" or "back" at the third. */
static struct dict_list_end
check_list_end(lua_State *L)
{
    static const char *const names[] = {"front", "back", NULL};
    int at = luaL_checkoption(L, 3, NULL, names);

    return (struct dict_list_end){shared_check_key(L, 2),
                                  at == 0 ? DICT_FRONT : DICT_BACK};
}

/* (table, key, "front" or "back", value): how many there are. */
static int
push(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct dict_list_end at = check_list_end(L);
    struct dict_value v = shared_check_value(L, 4);
    uint32_t number;
    enum dict_result result = dict_push(d, at, &v, shared_now(L), &number);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, number);
    return 1;
}

/* (table, key, "front" or "back"): the value, or nil. */
static int
pop(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    struct dict_value v;
    enum dict_result result = dict_pop(d, check_list_end(L), shared_now(L), &v);

    if (result != DICT_DONE && result != DICT_ABSENT)
        return push_failure(L, result);
    if (result == DICT_ABSENT)
        lua_pushnil(L);
    else
        shared_push_value(L, &v);
    return 1;
}

static int
count(lua_State *L)
{
    struct dict *d = shared_object_dict(L, 1);
    uint32_t number = 0;
    enum dict_result result =
        dict_count(d, shared_check_key(L, 2), shared_now(L), &number);

    if (result != DICT_DONE && result != DICT_ABSENT)
        return push_failure(L, result);
    lua_pushnumber(L, number);
    return 1;
}

/* --- all of it --- */

static int
clear(lua_State *L)
{
    return push_done(L, dict_clear(shared_object_dict(L, 1)), DICT_DONE);
}

/* (table, how many at most): how many were over. */
static int
sweep(lua_State *L)
{
    size_t removed;
    struct dict *d = shared_object_dict(L, 1);
    size_t most = (size_t)luaL_checkinteger(L, 2);
    enum dict_result result = dict_sweep(d, shared_now(L), most, &removed);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, (lua_Number)removed);
    return 1;
}

/* A buffer that is freed with its userdata, also if Lua raises. */
static int
free_keys(lua_State *L)
{
    buf_deinit(lua_touserdata(L, 1));
    return 0;
}

static struct buf *
push_buf(lua_State *L)
{
    struct buf *b = lua_newuserdata(L, sizeof *b);

    buf_init(b, WALK_ROWS * (sizeof(uint32_t) + DICT_KEY_MAX));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_keys);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return b;
}

static void
push_list(lua_State *L, struct slice keys)
{
    uint32_t len;

    lua_newtable(L);
    for (int i = 1; keys.len > 0; i++) {
        memcpy(&len, keys.ptr, sizeof len);
        keys = slice_drop(keys, sizeof len);
        lua_pushlstring(L, keys.ptr, len);
        lua_rawseti(L, -2, i);
        keys = slice_drop(keys, len);
    }
}

/* The iterator of `walk`: upvalues are the table and where it has got to. */
static int
next_keys(lua_State *L)
{
    struct dict *d = shared_object_dict(L, lua_upvalueindex(1));
    struct dict_walk *walk = lua_touserdata(L, lua_upvalueindex(2));
    struct buf *found = push_buf(L);
    enum dict_result result =
        dict_walk(d, shared_now(L), WALK_ROWS, walk, found);

    if (result == DICT_ABSENT) {
        lua_pushnil(L);
        return 1;
    }
    if (result != DICT_DONE)
        return push_failure(L, result);
    push_list(L, buf_bytes(found));
    buf_deinit(found);
    return 1;
}

/* (table): an iterator over lists of keys, each of one look at the table. */
static int
walk_keys(lua_State *L)
{
    lua_settop(L, 1);
    struct dict_walk *walk = lua_newuserdata(L, sizeof *walk);
    walk->len = 0;
    lua_pushcclosure(L, next_keys, 2);
    return 1;
}

static int
capacity(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)dict_size(shared_object_dict(L, 1)));
    return 1;
}

static int
free_space(lua_State *L)
{
    size_t bytes;
    enum dict_result result = dict_free_space(shared_object_dict(L, 1), &bytes);

    if (result != DICT_DONE)
        return push_failure(L, result);
    lua_pushnumber(L, (lua_Number)bytes);
    return 1;
}

void
openresty_dict_push(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"get", get},           {"store", store},
        {"incr", incr},         {"delete", delete_key},
        {"expire", expire},     {"ttl", ttl},
        {"push", push},         {"pop", pop},
        {"count", count},       {"clear", clear},
        {"sweep", sweep},       {"walk", walk_keys},
        {"capacity", capacity}, {"free_space", free_space},
        {NULL, NULL},
    };

    lua_newtable(L);
    luaL_register(L, NULL, functions);
}
