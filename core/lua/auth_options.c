#include "lua/auth_options.h"

#include "base/slice.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/target.h"
#include "proto/dialog.h"

#include <lauxlib.h>
#include <stdlib.h>

#define WHAT         "auth_http.new"
#define FIELD_MAX    8192
#define NAME_MAX_LEN 255
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

static void
add_pin(lua_State *L, struct auth_tls *t)
{
    struct slice text = {"", 0};

    if (lua_type(L, -1) == LUA_TSTRING)
        text.ptr = lua_tolstring(L, -1, &text.len);
    if (t->pin_count == TARGET_PINS_MAX)
        (void)luaL_error(L, WHAT ": pin: at most %d", TARGET_PINS_MAX);
    if (!target_parse_pin(text, t->pins[t->pin_count]))
        (void)luaL_error(L, WHAT ": pin: \"sha256/\" and 44 digits of base64 "
                                 "expected");
    t->pin_count++;
}

/* One, or a list. */
static void
read_pins(const struct options *o, struct auth_tls *t)
{
    lua_State *L = o->L;
    int top = lua_gettop(L);

    if (!option_push(o, "pin")) {
        lua_settop(L, top);
        return;
    }
    if (lua_istable(L, top + 1)) {
        options_thaw(L, top + 1);
        for (int i = 1; i <= (int)lua_objlen(L, top + 1); i++) {
            lua_rawgeti(L, top + 1, i);
            add_pin(L, t);
            lua_pop(L, 1);
        }
    } else {
        add_pin(L, t);
    }
    lua_settop(L, top);
}

static void
read_text(const struct options *o, const char *name, char **text)
{
    struct slice given;

    if (!option_push(o, name)) {
        lua_pop(o->L, 1);
        return;
    }
    if (lua_type(o->L, -1) != LUA_TSTRING)
        (void)luaL_error(o->L, WHAT ": %s must be a string", name);
    given.ptr = lua_tolstring(o->L, -1, &given.len);
    if (given.len == 0 || given.len > NAME_MAX_LEN || has_control(given))
        (void)luaL_error(o->L, WHAT ": %s: a name is expected", name);
    free(*text);
    *text = xstrndup(given.ptr, given.len);
    lua_pop(o->L, 1);
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

/* Alone `verify = false` trusts whoever answers; with a pin, its key. */
static void
read_tls(const struct options *o, struct auth_group *g)
{
    struct auth_tls *t = &g->tls;

    read_text(o, "profile", &t->profile);
    read_text(o, "server_name", &t->server_name);
    read_pins(o, t);
    if (!option_bool(o, "verify", true))
        t->verify = t->pin_count > 0 ? TLS_VERIFY_PIN : TLS_VERIFY_NONE;
}

static void
check_tls(lua_State *L, const struct auth_group *g)
{
    const struct auth_tls *t = &g->tls;

    if (has_https(g) && !auth_tls_is_ready(t))
        (void)luaL_error(L,
                         WHAT ": https: the configuration's tls_profiles has "
                              "no \"%s\"",
                         *t->profile != '\0' ? t->profile : "default");
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

    read_tls(&o, g);
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
