#include "lua/redis_options.h"

#include "base/slice.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/policy_lua.h"
#include "lua/secret.h"
#include "lua/vm.h"
#include "proto/dialog.h"

#include <lauxlib.h>
#include <stdio.h>

#define WHAT          "redis.pool"
#define SERVER        "moongate.redis.server"
#define SENTINEL_PORT 26379
#define SETTINGS_MAX  4096

static int
server_gc(lua_State *L)
{
    redis_server_deinit(lua_touserdata(L, 1));
    return 0;
}

/* A userdata, so that what raises leaves no password behind. */
static struct redis_server *
push_server(lua_State *L)
{
    static const luaL_Reg events[] = {{"__gc", server_gc}, {NULL, NULL}};
    struct redis_server *s = lua_newuserdata(L, sizeof *s);

    redis_server_init(s);
    object_set_type(L, SERVER, events, NULL);
    return s;
}

static void
read_credential(const struct options *o, const char *name, struct buf *into)
{
    struct slice bytes;

    if (option_bytes(o, name, &bytes)) {
        buf_deinit(into);
        if (!buf_append(into, bytes))
            (void)luaL_error(o->L, "%s: %s is too long", o->what, name);
    }
    lua_pop(o->L, 1);
}

static void
read_text(const struct options *o, const char *name, char *into, size_t size)
{
    struct slice text = S("");

    if (option_push(o, name)) {
        if (lua_type(o->L, -1) == LUA_TSTRING)
            text.ptr = lua_tolstring(o->L, -1, &text.len);
        if (text.len == 0 || text.len >= size || has_control(text))
            (void)luaL_error(o->L, "%s: %s: a name is expected", o->what, name);
        memcpy(into, text.ptr, text.len);
        into[text.len] = '\0';
    }
    lua_pop(o->L, 1);
}

static void
read_addresses(const struct options *o, struct redis_server *s)
{
    lua_State *L = o->L;
    int list = lua_gettop(L) + 1;

    if (!option_push(o, "addresses") || !lua_istable(L, list))
        (void)luaL_error(L, WHAT ": sentinel.addresses is missing");
    options_thaw(L, list);
    for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
        struct slice text = {"", 0};
        if (s->sentinel_count == REDIS_SENTINELS_MAX)
            (void)luaL_error(L, WHAT ": sentinel.addresses: more than %d",
                             REDIS_SENTINELS_MAX);
        lua_rawgeti(L, list, i);
        if (lua_type(L, -1) == LUA_TSTRING)
            text.ptr = lua_tolstring(L, -1, &text.len);
        if (!redis_place_parse(&s->sentinels[s->sentinel_count++], text,
                               SENTINEL_PORT))
            (void)luaL_error(L, WHAT ": sentinel.addresses: \"host:port\" is "
                                     "expected");
        lua_pop(L, 1);
    }
    lua_settop(L, list - 1);
    if (s->sentinel_count == 0)
        (void)luaL_error(L, WHAT ": sentinel.addresses is empty");
}

static void
read_sentinel(const struct options *o, struct redis_server *s)
{
    static const char *const names[] = {"addresses", "name", "user", "password",
                                        NULL};
    lua_State *L = o->L;
    int table = lua_gettop(L) + 1;

    if (option_push(o, "sentinel")) {
        struct options own = options_check(L, table, WHAT ": sentinel", names);
        read_addresses(&own, s);
        read_text(&own, "name", s->master, sizeof s->master);
        read_credential(&own, "user", &s->sentinel_login.user);
        read_credential(&own, "password", &s->sentinel_login.password);
        if (*s->master == '\0')
            (void)luaL_error(L, WHAT ": sentinel.name is missing");
    }
    lua_settop(L, table - 1);
}

static void
read_server(const struct options *o, struct redis_server *s)
{
    lua_State *L = o->L;
    bool hostless = s->sentinel_count > 0;
    struct slice url = S("redis://");
    struct error err;

    if (option_push(o, "url")) {
        if (!secret_or_string(L, -1, &url))
            (void)luaL_error(L, WHAT ": url must be a string or a Secret");
    } else if (!hostless) {
        (void)luaL_error(L, WHAT ": `url` is missing");
    }
    if (!redis_server_parse(s, url, hostless, &err))
        (void)luaL_error(L, WHAT ": %s", err.text);
    lua_pop(L, 1);
    read_credential(o, "user", &s->login.user);
    read_credential(o, "password", &s->login.password);
    if (!buf_is_empty(&s->login.user) && buf_is_empty(&s->login.password))
        (void)luaL_error(L, WHAT ": `user` needs a `password`");
    s->database = (unsigned)option_number(
        o, "database",
        (struct option_range){s->database, 0, REDIS_DATABASE_MAX});
    redis_server_name(s);
}

static void
read_profile(const struct options *o, struct redis_group *g, bool tls)
{
    char profile[256] = "", name[256] = "";
    struct auth_tls *t = &g->tls;

    read_text(o, "profile", profile, sizeof profile);
    read_text(o, "server_name", name, sizeof name);
    auth_tls_name(t, profile, name);
    if (tls && !auth_tls_is_ready(t))
        (void)luaL_error(o->L,
                         WHAT ": rediss: the configuration's tls_profiles has "
                              "no \"%s\"",
                         *profile != '\0' ? profile : "default");
}

void
redis_options_read(lua_State *L, int index, struct redis_group *g)
{
    static const char *const names[] = {
        "url",  "user",  "password", "database",    "sentinel", "timeout",
        "size", "queue", "profile",  "server_name", NULL};
    struct buf tls;

    luaL_checktype(L, index, LUA_TTABLE);
    struct options o = options_check(L, index, WHAT, names);
    struct redis_server *s = push_server(L);
    read_sentinel(&o, s);
    read_server(&o, s);
    read_profile(&o, g, s->tls);
    g->timeout =
        option_number(&o, "timeout", (struct option_range){1, 0.001, 600});
    double size = option_number(&o, "size", (struct option_range){16, 1, 1000});
    double queue =
        option_number(&o, "queue", (struct option_range){256, 0, 10000});

    buf_init(&tls, SETTINGS_MAX);
    if (s->tls)
        auth_tls_describe(&g->tls, &tls);
    g->pool = redis_pool_get(vm_of(L)->host->lasting, s, buf_bytes(&tls));
    buf_deinit(&tls);
    redis_server_init(s);             /* what was in it is the pool's */
    g->pool->open_max = (size_t)size; /* the newest configuration's */
    g->pool->queue_max = (size_t)queue;
    lua_pop(L, 1);
}
