#include "lua/config.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/slice.h"
#include "lua/lasting.h"
#include "lua/pool_config.h"
#include "lua/secret.h"
#include "lua/target.h"
#include "lua/tls_config.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)64 << 20) /* bytes of all texts */

/* The configuration and the memory that everything in it is in. */
struct whole {
    struct config config;
    struct arena arena;
};

static void
free_whole(struct config *c)
{
    struct whole *w = c->owner;

    for (size_t i = 0; i < c->listener_count; i++)
        tls_config_forget(&c->listeners[i]);
    pool_config_forget(c);
    tls_certificates_forget(c);
    for (size_t i = 0; i < c->tls_profile_count; i++)
        tls_client_context_unref(c->tls_profiles[i].context);
    certificates_free(c->own);
    arena_wipe(&w->arena);
    free(w);
}

static unsigned
count_of(lua_State *L, int table, const char *name)
{
    return (unsigned)value_number(L, table, name);
}

/* Pushes a section of `listen`; its index. */
static int
open_section(lua_State *L, int listen, const char *name)
{
    lua_getfield(L, listen, name);
    return lua_gettop(L);
}

static void
read_limits(lua_State *L, int listen, struct listener_config *l)
{
    int t = open_section(L, listen, "limits");

    l->limits = (struct limits){
        .login_timeout = value_number(L, t, "login_timeout"),
        .handshake_timeout = value_number(L, t, "handshake_timeout"),
        .hook_timeout = value_number(L, t, "hook_timeout"),
        .connect_timeout = value_number(L, t, "connect_timeout"),
        .upstream_timeout = value_number(L, t, "upstream_timeout"),
        .idle_timeout = value_number(L, t, "idle_timeout"),
        .close_timeout = value_number(L, t, "close_timeout"),
        .attempts = count_of(L, t, "attempts"),
        .errors = count_of(L, t, "errors"),
        .upstream_attempts = count_of(L, t, "upstream_attempts"),
    };
    l->settings.command_max = count_of(L, t, "command_max");
    l->settings.literal_max = count_of(L, t, "literal_max");
    l->settings.reply_max = count_of(L, t, "reply_max");
    lua_pop(L, 1);
}

static void
read_username(lua_State *L, int listen, struct listener_config *l,
              struct arena *a)
{
    int t = open_section(L, listen, "username");
    bool lower = slice_equal(value_text(L, t, "case"), S("lower"));

    l->username = (struct username_settings){
        .letter_case = lower ? USERNAME_LOWER : USERNAME_KEEP,
        .default_domain = value_copy(L, t, "default_domain", a),
        .allowed = value_copy(L, t, "allowed", a),
        .utf8 = value_flag(L, t, "utf8"),
        .max = count_of(L, t, "max"),
    };
    lua_pop(L, 1);
}

static void
read_socket(lua_State *L, int listen, struct listen_options *o)
{
    int t = open_section(L, listen, "socket");
    struct slice mode = value_text(L, t, "mode");

    *o = (struct listen_options){
        .backlog = (int)value_number(L, t, "backlog"),
        .ipv6_only = value_flag(L, t, "ipv6_only"),
        .keepalive_idle = (int)value_number(L, t, "keepalive_idle"),
        .keepalive_interval = (int)value_number(L, t, "keepalive_interval"),
        .keepalive_count = (int)value_number(L, t, "keepalive_count"),
        .receive_buffer = (int)value_number(L, t, "receive_buffer"),
        .send_buffer = (int)value_number(L, t, "send_buffer"),
        .mode = mode.ptr != NULL ? (int)strtol(mode.ptr, NULL, 8) : 0,
    };
    if (!value_flag(L, t, "keepalive"))
        o->keepalive_idle = -1;
    lua_pop(L, 1);
}

static unsigned
read_mechanisms(lua_State *L, int listen)
{
    unsigned set = 0;
    int t = open_section(L, listen, "mechanisms");

    for (int i = 1; i <= (int)lua_objlen(L, t); i++) {
        struct slice name;
        enum mechanism m;
        lua_rawgeti(L, t, i);
        name.ptr = luaL_checklstring(L, -1, &name.len);
        if (slice_equal(name, S("APOP")))
            set |= MECHANISM_BIT(MECHANISM_APOP);
        else if (mechanism_find(name, &m))
            set |= MECHANISM_BIT(m);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return set;
}

static enum forward
read_forward(struct slice word)
{
    if (slice_equal(word, S("always")))
        return FORWARD_ALWAYS;
    return slice_equal(word, S("offered")) ? FORWARD_OFFERED : FORWARD_OFF;
}

static void
read_settings(lua_State *L, int t, struct listener_config *l, struct arena *a)
{
    struct proto_settings *s = &l->settings;

    s->server_name = value_copy(L, t, "server_name", a);
    s->greeting = value_copy(L, t, "greeting", a);
    s->capabilities =
        value_join(L, t, "capabilities",
                   strcmp(l->proto->name, "imap") == 0 ? " " : "\n", a);
    s->mechanisms = read_mechanisms(L, t);
    s->unlisted_plain = value_flag(L, t, "unlisted_plain");
    s->tokens_in_clear = value_flag(L, t, "tokens_in_clear");
    s->no_auth = slice_equal(value_text(L, t, "auth"), S("none"));
    s->forward = read_forward(value_text(L, t, "forward"));
    s->xoip = value_flag(L, t, "xoip");
    s->pass_error_message = value_flag(L, t, "pass_error_message");
    s->pass_capabilities = value_flag(L, t, "pass_capabilities");
    s->as_nginx = slice_equal(value_text(L, t, "replies"), S("nginx"));
}

/* The networks that the list `name` of the table has; their number. */
static size_t
read_networks(lua_State *L, int table, const char *name,
              struct network **networks, struct arena *a)
{
    int list = open_section(L, table, name);
    size_t count = lua_objlen(L, list), found = 0;
    struct error err;

    *networks = arena_alloc(a, (count + 1) * sizeof **networks);
    require(*networks != NULL);
    for (int i = 1; i <= (int)count; i++) {
        struct slice text;
        lua_rawgeti(L, list, i);
        text.ptr = luaL_checklstring(L, -1, &text.len);
        if (network_parse(text, &(*networks)[found], &err))
            found++;
        lua_pop(L, 1);
    }
    lua_settop(L, list - 1);
    return found;
}

static void
read_proxy(lua_State *L, int listen, struct proxy_settings *p, struct arena *a)
{
    int t = open_section(L, listen, "proxy_protocol");

    if (!lua_istable(L, t)) {
        lua_settop(L, t - 1);
        return;
    }
    p->expected = true;
    p->lenient = value_flag(L, t, "lenient");
    p->trusted_count = read_networks(L, t, "from", &p->trusted, a);
    lua_settop(L, t - 1);
}

static bool
read_listener(lua_State *L, int t, struct listener_config *l, struct arena *a)
{
    struct slice protocol = value_text(L, t, "protocol");
    struct slice upstream = value_copy(L, t, "upstream", a);
    struct error err;

    l->name = value_copy(L, t, "name", a);
    l->proto = proto_find(protocol);
    if (l->proto == NULL)
        return false;
    l->greeting_delay = value_number(L, t, "greeting_delay");
    l->resolve_client = value_flag(L, t, "resolve_client");
    l->resolve_timeout = value_number(L, t, "resolve_timeout");
    l->refusal_closes = value_flag(L, t, "refusal_closes");
    l->probe_interval = value_number(L, t, "probe");
    read_settings(L, t, l, a);
    read_limits(L, t, l);
    read_username(L, t, l, a);
    read_socket(L, t, &l->socket);
    read_proxy(L, t, &l->proxy, a);
    l->trusted_count = read_networks(L, t, "trusted", &l->trusted, a);
    struct slice version = value_text(L, t, "upstream_proxy_protocol");
    if (version.len > 0)
        l->upstream.proxy_protocol = slice_equal(version, S("v1")) ? 1 : 2;
    if (upstream.ptr != NULL && !target_parse(upstream, &l->upstream, &err))
        return false;
    return target_tls_mode(value_text(L, t, "upstream_tls"), &l->upstream.tls);
}

/* Calls `each` for every address of every listener, with the listener's table
 * and the address on the top of the stack. */
static void
each_address(lua_State *L, int index,
             void (*each)(lua_State *L, int listen, void *arg), void *arg)
{
    int all = open_section(L, index, "listen");

    for (int i = 1; i <= (int)lua_objlen(L, all); i++) {
        lua_rawgeti(L, all, i);
        int listen = lua_gettop(L);
        int addresses = open_section(L, listen, "address");
        for (int j = 1; j <= (int)lua_objlen(L, addresses); j++) {
            lua_rawgeti(L, addresses, j);
            each(L, listen, arg);
            lua_settop(L, addresses);
        }
        lua_settop(L, all);
    }
    lua_settop(L, all - 1);
}

static void
count_one(lua_State *L, int listen, void *arg)
{
    (void)L;
    (void)listen;
    ++*(size_t *)arg;
}

/* One address and one port: the kernel need not be asked for either. */
static void
set_only(struct listener_config *l)
{
    struct addr a;
    struct error ignored;

    if (addr_parse(l->address, 0, &a, &ignored) && addr_port(&a) > 0 &&
        !addr_is_any(&a))
        l->only = a;
}

struct building {
    struct whole *whole;
    struct tls_building tls;
    struct error *err;
    bool failed;
};

static void
build_one(lua_State *L, int listen, void *arg)
{
    struct building *b = arg;
    struct config *c = &b->whole->config;
    struct listener_config *l = &c->listeners[c->listener_count];
    struct slice address;

    address.ptr = luaL_checklstring(L, -1, &address.len);
    l->address = value_keep(&b->whole->arena, address);
    set_only(l);
    l->index = (unsigned)c->listener_count++;
    if (b->failed)
        return;
    if (!read_listener(L, listen, l, &b->whole->arena)) {
        error_set(b->err, "listen \"%.*s\": protocol or upstream is unknown",
                  (int)l->name.len, l->name.ptr);
        b->failed = true;
    } else if (!tls_config_read(&b->tls, listen, l, b->err)) {
        b->failed = true;
    }
}

/* `tls_profiles` is { name = section }. */
static void
build_profiles(lua_State *L, int index, struct building *b)
{
    struct config *c = &b->whole->config;
    struct slice name;
    size_t count = 0;

    int all = open_section(L, index, "tls_profiles");
    for (lua_pushnil(L); lua_next(L, all); lua_pop(L, 1))
        count++;
    c->tls_profiles =
        arena_alloc(&b->whole->arena, (count + 1) * sizeof *c->tls_profiles);
    require(c->tls_profiles != NULL);
    for (lua_pushnil(L); !b->failed && lua_next(L, all); lua_pop(L, 1)) {
        struct tls_profile *p = &c->tls_profiles[c->tls_profile_count];
        name.ptr = lua_tolstring(L, -2, &name.len);
        p->name = value_keep(&b->whole->arena, name);
        tls_profile_digest(&b->tls, lua_gettop(L), p->digest);
        b->tls.digest = p->digest;
        p->context = tls_profile_new(&b->tls, lua_gettop(L), b->err);
        b->tls.digest = NULL;
        if (p->context == NULL) {
            b->failed = !error_context(b->err, "tls_profiles.%s", p->name.ptr);
            break;
        }
        c->tls_profile_count++;
    }
    lua_settop(L, all - 1);
}

static int
by_name(const void *a, const void *b)
{
    const struct dict_config *one = a, *other = b;
    return strcmp(one->name.ptr, other->name.ptr);
}

/* `shared` is { name = { store = bytes or URL } }; of a URL, Lua makes
 * something when it is first used. */
static void
build_dicts(lua_State *L, int index, struct whole *w)
{
    struct config *c = &w->config;
    int all = open_section(L, index, "shared");
    struct slice name;
    size_t count = 0;

    for (lua_pushnil(L); lua_next(L, all); lua_pop(L, 1))
        count++;
    c->dicts = arena_alloc(&w->arena, (count + 1) * sizeof *c->dicts);
    require(c->dicts != NULL);
    for (lua_pushnil(L); lua_next(L, all); lua_pop(L, 1)) {
        struct dict_config *d = &c->dicts[c->dict_count++];
        name.ptr = lua_tolstring(L, -2, &name.len);
        d->name = value_keep(&w->arena, name);
        lua_getfield(L, -1, "store");
        d->size =
            lua_type(L, -1) == LUA_TNUMBER ? (size_t)lua_tonumber(L, -1) : 0;
        lua_pop(L, 1);
    }
    qsort(c->dicts, c->dict_count, sizeof *c->dicts, by_name);
    lua_settop(L, all - 1);
}

static struct dns_options
read_resolver(lua_State *L, int index, struct arena *arena)
{
    int t = open_section(L, index, "resolver");
    struct dns_options options = {
        .servers = value_join(L, t, "servers", ",", arena).ptr,
        .valid = value_number(L, t, "valid"),
    };

    lua_settop(L, t - 1);
    return options;
}

/* Without a secret of the operator's it is the gateway's own, until it ends. */
static void
read_scram(const struct generation *g, int index, struct whole *w)
{
    lua_State *L = g->vm->L;
    int t = open_section(L, index, "scram");
    struct slice secret;

    w->config.scram_iterations = count_of(L, t, "iterations");
    lua_getfield(L, t, "secret");
    if (!secret_or_string(L, -1, &secret))
        secret = g->host.ticket_secret.bytes;
    w->config.scram_secret.bytes = value_keep(&w->arena, secret);
    lua_settop(L, t - 1);
}

struct config *
config_build(const struct generation *g, int index, struct error *err)
{
    lua_State *L = g->vm->L;
    struct whole *w = xcalloc(1, sizeof *w);
    struct building b = {.whole = w,
                         .tls = {L, g->source, &g->host, &w->arena,
                                 certificates_new(), false, NULL},
                         .err = err};
    size_t count = 0;

    arena_init(&w->arena, CONFIG_MAX);
    w->config = (struct config){
        .references = 1,
        .generation = g->number,
        .resolver = read_resolver(L, index, &w->arena),
        .shutdown_timeout = value_number(L, index, "shutdown_timeout"),
        .max_sessions = count_of(L, index, "max_sessions"),
        .own = b.tls.certificates,
        .owner = w,
        .free = free_whole,
    };
    each_address(L, index, count_one, &count);
    w->config.listeners =
        arena_alloc(&w->arena, (count + 1) * sizeof *w->config.listeners);
    require(w->config.listeners != NULL);
    each_address(L, index, build_one, &b);
    build_profiles(L, index, &b);
    build_dicts(L, index, w);
    read_scram(g, index, w);
    struct pool_building pools = {L, g->host.lasting->pools, &w->arena, err};
    if (!b.failed)
        b.failed = !pool_config_read(&pools, index, &w->config);
    if (!b.failed)
        b.failed = !tls_certificates_read(&b.tls, index, &w->config, err);
    if (b.failed) {
        free_whole(&w->config);
        return NULL;
    }
    return &w->config;
}
