#include "lua/check_host.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/auth_url.h"
#include "lua/await.h"
#include "lua/generation.h"
#include "lua/inspect.h"
#include "lua/objects.h"
#include "lua/reach.h"
#include "lua/redis_server.h"
#include "lua/target.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define NETWORK "moongate.check.network"

static evaluate_fn evaluate;

void
check_host_use(evaluate_fn fn)
{
    evaluate = fn;
}

/* The network as a configuration sees it: its resolver, its tls_profiles. */
struct network_view {
    struct config *config;
    struct dns *dns;
};

static int
forget_network(lua_State *L)
{
    struct network_view *n = lua_touserdata(L, 1);

    if (n->dns != NULL)
        dns_free(n->dns);
    if (n->config != NULL)
        config_unref(n->config);
    *n = (struct network_view){0};
    return 0;
}

struct pins {
    unsigned char each[TARGET_PINS_MAX][TLS_PIN_SIZE];
    size_t count;
};

/* `pins` is a list. */
static void
read_pins(lua_State *L, int index, struct pins *pins)
{
    lua_getfield(L, index, "pins");
    for (int i = 1; lua_istable(L, -1) && i <= TARGET_PINS_MAX; i++) {
        struct slice text = {0};
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) == LUA_TSTRING)
            text.ptr = lua_tolstring(L, -1, &text.len);
        if (text.ptr != NULL && target_parse_pin(text, pins->each[pins->count]))
            pins->count++;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static enum tls_verify
verify_of(lua_State *L, int index, const struct pins *pins)
{
    if (!value_flag(L, index, "unverified"))
        return TLS_VERIFY_FULL;
    return pins->count > 0 ? TLS_VERIFY_PIN : TLS_VERIFY_NONE;
}

/* What of `order` the table at `index` tells. */
static void
read_order(lua_State *L, int index, const struct pins *pins,
           struct reach_order *order)
{
    struct slice protocol = value_text(L, index, "protocol");
    struct slice name = value_text(L, index, "server_name");

    order->host = value_text(L, index, "host").ptr;
    order->port = (uint16_t)value_number(L, index, "port");
    order->proto = protocol.ptr != NULL ? proto_find(protocol) : NULL;
    order->proxy_protocol = (unsigned)value_number(L, index, "proxy_protocol");
    order->timeout = value_number(L, index, "timeout");
    (void)target_tls_mode(value_text(L, index, "tls"), &order->tls);
    order->target = (struct tls_target){
        .verify = verify_of(L, index, pins),
        .name = name.len > 0 ? name : slice_of(order->host),
        .pins = pins->each,
        .pin_count = pins->count,
        .place = slice_of(order->host),
    };
}

/* (network, { host =, port =, protocol =, tls =, ... }): address and TLS, or
 * nil and why not. */
static int
network_reach(lua_State *L)
{
    struct network_view *n = luaL_checkudata(L, 1, NETWORK);
    struct reach_order order = {.tls = TLS_OFF};
    struct reach_result result;
    struct pins pins = {.count = 0};

    luaL_checktype(L, 2, LUA_TTABLE);
    if (n->config == NULL || value_text(L, 2, "host").ptr == NULL)
        return luaL_error(L, "a network and a host expected");
    read_pins(L, 2, &pins);
    read_order(L, 2, &pins, &order);
    order.context = config_tls_profile(n->config, value_text(L, 2, "profile"));
    if (order.tls != TLS_OFF && order.context == NULL) {
        lua_pushnil(L);
        lua_pushliteral(L, "the configuration has no such tls_profile");
        return 2;
    }
    reach(host_of(L)->loop, n->dns, &order, &result);
    if (!result.done) {
        lua_pushnil(L);
        lua_pushstring(L, result.text);
        return 2;
    }
    lua_pushstring(L, result.address);
    lua_pushstring(L, result.tls);
    return 2;
}

static const luaL_Reg network_methods[] = {
    {"reach", network_reach},
    {NULL, NULL},
};

static const luaL_Reg network_events[] = {
    {"__gc", forget_network},
    {NULL, NULL},
};

/* Sets `network` in the table on the top, or `network_error`. */
static void
add_network(lua_State *L, struct config *config)
{
    struct network_view *n = lua_newuserdata(L, sizeof *n);
    struct error err = {""};

    *n = (struct network_view){0};
    object_set_type(L, NETWORK, network_events, network_methods);
    n->dns = dns_new(host_of(L)->loop, &config->resolver, &err);
    if (n->dns != NULL)
        n->config = config_ref(config);
    lua_setfield(L, -2, "network");
    if (n->dns != NULL)
        return;
    lua_pushstring(L, err.text);
    lua_setfield(L, -2, "network_error");
}

/* The result is on the top of the state `arg`. */
static void
inspect(struct generation *g, void *arg)
{
    lua_State *L = arg;

    inspect_generation(g, L);
    if (g->config != NULL)
        add_network(L, g->config);
}

/* (path, environment or nil, whether it is nginx.conf, its prefix or nil):
 * what inspect.h tells, `network`, and `errors`,
 * all of them as one text, or nil. */
static int
host_evaluate(lua_State *L)
{
    struct config_order order = {
        .path = luaL_checkstring(L, 1),
        .environment = luaL_optstring(L, 2, NULL),
        .nginx = lua_toboolean(L, 3) != 0,
        .prefix = luaL_optstring(L, 4, NULL),
        .inspect = inspect,
        .inspect_arg = L,
        .lasting = host_of(L)->lasting,
    };
    char *errors = NULL;

    require(evaluate != NULL);
    lua_newtable(L);
    if (!evaluate(&order, &errors)) {
        lua_pushstring(L, errors);
        lua_setfield(L, -2, "errors");
    }
    free(errors);
    return 1;
}

static void
push_place(lua_State *L, const char *host, uint16_t port, bool tls)
{
    lua_newtable(L);
    lua_pushstring(L, host);
    lua_setfield(L, -2, "host");
    lua_pushinteger(L, port);
    lua_setfield(L, -2, "port");
    lua_pushstring(L, tls ? "implicit" : "off");
    lua_setfield(L, -2, "tls");
}

/* Its password is not told. */
static int
parse_redis_url(lua_State *L, struct slice text)
{
    struct redis_server server;
    struct error err;

    redis_server_init(&server);
    if (redis_server_parse(&server, text, false, &err)) {
        redis_server_name(&server);
        push_place(L, server.place.host, server.place.port, server.tls);
        (void)lua_pushfstring(L, "Redis server \"%s\"", server.name);
        lua_setfield(L, -2, "what");
    } else {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
    }
    redis_server_deinit(&server);
    return lua_istable(L, -1) ? 1 : 2;
}

/* ("http://host:port/uri"): { host =, port =, tls = }, or nil and the
 * message. */
static int
host_parse_url(lua_State *L)
{
    struct slice text;
    struct auth_url url;
    struct error err;

    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (slice_has_prefix(text, S("redis")) ||
        slice_has_prefix(text, S("unix:")))
        return parse_redis_url(L, text);
    if (!auth_url_parse(text, &url, &err)) {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
        return 2;
    }
    push_place(L, url.host, url.port, url.tls);
    (void)lua_pushfstring(L, "auth server \"%s\"", url.text);
    lua_setfield(L, -2, "what");
    auth_url_deinit(&url);
    return 1;
}

/* ("10.0.0.5:143"): host and port (0: the protocol's own), or nil and the
 * message. */
static int
host_parse_target(lua_State *L)
{
    struct slice text;
    struct target t = {0};
    struct error err;

    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (!target_parse(text, &t, &err)) {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
        return 2;
    }
    lua_pushlstring(L, t.host.ptr, t.host.len);
    lua_pushinteger(L, t.port);
    return 2;
}

static const luaL_Reg functions[] = {
    {"evaluate", host_evaluate},
    {"parse_url", host_parse_url},
    {"parse_target", host_parse_target},
    {NULL, NULL},
};

int
check_host_open(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
