/* mod_json.c -- `moongate.json`: encode(value), decode(text, opts).
 *
 * lua-cjson inside; null is nil, so that a missing value is never true. */
#include "lua/failure.h"
#include "lua/json.h"
#include "lua/module.h"
#include "lua/options.h"

#include <lauxlib.h>

#define DEPTH_MAX 64
#define TEXT_MAX  (8u << 20)

/* lua-cjson has no header that suits LuaJIT's. */
extern int luaopen_cjson(lua_State *L);

static char encoder_key, decoder_key, null_key;

/* Sets one of cjson's limits on the module table on the top. */
static void
limit(lua_State *L, const char *function, int value)
{
    lua_getfield(L, -1, function);
    lua_pushinteger(L, value);
    lua_call(L, 1, 0);
}

static void
keep(lua_State *L, const char *function, void *key)
{
    lua_pushlightuserdata(L, key);
    lua_getfield(L, -2, function);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Keeps cjson's functions in the registry, once a state. */
static void
prepare(lua_State *L)
{
    lua_pushlightuserdata(L, &encoder_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    bool there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (there)
        return;
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    limit(L, "decode_max_depth", DEPTH_MAX);
    limit(L, "encode_max_depth", DEPTH_MAX);
    keep(L, "encode", &encoder_key);
    keep(L, "decode", &decoder_key);
    keep(L, "null", &null_key);
    lua_pop(L, 1);
}

/* Replaces null by nil in the table on the top, and in those inside.  Depth
 * was bounded when the text was read. */
static void
drop_nulls(lua_State *L, int depth)
{
    luaL_checkstack(L, 4, "JSON is nested too deep");
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        if (lua_istable(L, -1) && depth > 0) {
            drop_nulls(L, depth - 1);
        } else if (lua_touserdata(L, -1) == NULL &&
                   lua_islightuserdata(L, -1)) {
            lua_pushvalue(L, -2);
            lua_pushnil(L);
            lua_rawset(L, -5);
        }
        lua_pop(L, 1);
    }
}

static int
call_decoder(lua_State *L, struct slice text)
{
    lua_pushlightuserdata(L, &decoder_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushlstring(L, text.ptr, text.len);
    return lua_pcall(L, 1, 1, 0);
}

int
json_decode(lua_State *L, struct slice text, bool keep_null)
{
    prepare(L);
    if (text.len > TEXT_MAX)
        return failure_push(L, FAILURE_PROTOCOL,
                            "json: the text is longer than 8 MiB");
    int status = call_decoder(L, text);
    if (status == LUA_ERRMEM)
        return lua_error(L);
    if (status != 0)
        return failure_push(L, FAILURE_PROTOCOL, "json: %s",
                            lua_tostring(L, -1));
    if (keep_null)
        return 1;
    if (lua_istable(L, -1)) {
        drop_nulls(L, DEPTH_MAX);
    } else if (lua_islightuserdata(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    return 1;
}

void
json_encode(lua_State *L, int index)
{
    prepare(L);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, &encoder_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
}

static int
encode(lua_State *L)
{
    luaL_checkany(L, 1);
    json_encode(L, 1);
    return 1;
}

static int
decode(lua_State *L)
{
    static const char *const names[] = {"null", NULL};
    struct slice text;
    struct options opts = options_check(L, 2, "json.decode", names);

    text.ptr = luaL_checklstring(L, 1, &text.len);
    return json_decode(L, text, option_bool(&opts, "null", false));
}

int
mod_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", encode}, {"decode", decode}, {NULL, NULL}};

    prepare(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushlightuserdata(L, &null_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_setfield(L, -2, "null");
    return 1;
}
