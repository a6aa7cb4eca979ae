#include "lua/auth_options.h"

#include "base/slice.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "proto/dialog.h"

#include <lauxlib.h>
#include <stdlib.h>

#define WHAT         "auth_http.new"
#define FIELD_MAX    8192
#define SETTINGS_MAX 4096

static void
add_server(lua_State *L, struct auth_group *g, size_t keep)
{
    struct slice text = {"", 0};
    struct auth_url url;
    struct error err;

    if (lua_type(L, -1) != LUA_TSTRING)
        (void)luaL_error(L, WHAT ": url must be a string");
    text.ptr = lua_tolstring(L, -1, &text.len);
    if (g->pool_count == AUTH_SERVERS_MAX)
        (void)luaL_error(L, WHAT ": urls: more than %d", AUTH_SERVERS_MAX);
    if (!auth_url_parse(text, &url, &err))
        (void)luaL_error(L, WHAT ": %s", err.text);
    struct buf settings;
    buf_init(&settings, SETTINGS_MAX);
    if (url.tls)
        auth_tls_describe(&g->tls, &settings);
    g->pools[g->pool_count++] =
        auth_pool_get(g->lasting, &url, buf_bytes(&settings), keep);
    buf_deinit(&settings);
}

static void
read_servers(const struct options *o, struct auth_group *g, size_t keep)
{
    lua_State *L = o->L;

    if (option_push(o, "url"))
        add_server(L, g, keep);
    lua_pop(L, 1);
    if (option_push(o, "urls")) {
        int list = lua_gettop(L);
        luaL_checktype(L, list, LUA_TTABLE);
        options_thaw(L, list);
        for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
            lua_rawgeti(L, list, i);
            add_server(L, g, keep);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    if (g->pool_count == 0)
        (void)luaL_error(L, WHAT ": `url` or `urls` is missing");
}

static bool
is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_'))
            return false;
    }
    return name.len > 0;
}

/* The name is at -2, the value on the top. */
static void
add_header(lua_State *L, struct auth_group *g)
{
    struct slice name = {"", 0}, value;

    if (lua_type(L, -2) == LUA_TSTRING)
        name.ptr = lua_tolstring(L, -2, &name.len);
    if (!is_field_name(name))
        (void)luaL_error(L, WHAT ": headers: not the name of a field");
    if (!secret_or_string(L, -1, &value) || has_control(value) ||
        value.len > FIELD_MAX)
        (void)luaL_error(L, WHAT ": headers: %s: one line of text is expected",
                         name.ptr);
    if (!buf_append(&g->extra, name) || !buf_append(&g->extra, S(": ")) ||
        !buf_append(&g->extra, value) || !buf_append(&g->extra, S("\r\n")))
        (void)luaL_error(L, WHAT ": headers: too many");
}

/* { {name, value}, ... } keeps an order that must be kept. */
static void
read_header_list(lua_State *L, struct auth_group *g, int list)
{
    for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
        lua_rawgeti(L, list, i);
        options_thaw(L, lua_gettop(L));
        if (!lua_istable(L, -1))
            (void)luaL_error(L, WHAT ": headers: {name, value} is expected");
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        add_header(L, g);
        lua_pop(L, 3);
    }
}

/* { name = value, ... } goes out sorted by name. */
static void
read_header_map(lua_State *L, struct auth_group *g, int map)
{
    lua_newtable(L);
    int names = lua_gettop(L);

    lua_pushnil(L);
    while (lua_next(L, map) != 0) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        if (lua_type(L, -1) != LUA_TSTRING)
            (void)luaL_error(L, WHAT ": headers: not the name of a field");
        lua_rawseti(L, names, (int)lua_objlen(L, names) + 1);
    }
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, names);
    lua_call(L, 1, 0);
    for (int i = 1; i <= (int)lua_objlen(L, names); i++) {
        lua_rawgeti(L, names, i);
        lua_pushvalue(L, -1);
        lua_rawget(L, map);
        add_header(L, g);
        lua_pop(L, 2);
    }
}

static void
read_headers(const struct options *o, struct auth_group *g)
{
    lua_State *L = o->L;
    int top = lua_gettop(L);

    buf_init(&g->extra, AUTH_EXTRA_MAX);
    if (option_push(o, "headers")) {
        luaL_checktype(L, top + 1, LUA_TTABLE);
        options_thaw(L, top + 1);
        if (lua_objlen(L, top + 1) > 0)
            read_header_list(L, g, top + 1);
        else
            read_header_map(L, g, top + 1);
    }
    lua_settop(L, top);
}

static bool
has_https(const struct auth_group *g)
{
    for (size_t i = 0; i < g->pool_count; i++) {
        if (g->pools[i]->url.tls)
            return true;
    }
    return false;
}

static void
check_tls(lua_State *L, const struct auth_group *g)
{
    if (has_https(g))
        auth_tls_require(L, &g->tls, WHAT ": https");
}

void
auth_options_read(lua_State *L, int index, struct auth_group *g)
{
    static const char *const names[] = {
        "url",       "urls",        "timeout",          "headers",
        "keepalive", "retries",     "pass_client_cert", "smtp_login",
        "profile",   "server_name", "verify",           "pin",
        NULL};
    luaL_checktype(L, index, LUA_TTABLE);
    struct options o = options_check(L, index, WHAT, names);
    double keep =
        option_number(&o, "keepalive", (struct option_range){32, 0, 10000});

    auth_tls_read(&o, &g->tls);
    read_servers(&o, g, (size_t)keep);
    check_tls(L, g);
    read_headers(&o, g);
    g->timeout =
        option_number(&o, "timeout", (struct option_range){5, 0.001, 600});
    g->retries = (unsigned)option_number(
        &o, "retries",
        (struct option_range){(double)g->pool_count - 1, 0, 100});
    g->pass_client_cert = option_bool(&o, "pass_client_cert", false);
    g->smtp_login = option_bool(&o, "smtp_login", true);
}
