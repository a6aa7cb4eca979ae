#include "lua/pool_object.h"

#include "base/slice.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/objects.h"
#include "lua/target.h"

#include <ev.h>
#include <lauxlib.h>
#include <string.h>

#define OBJECT_UPSTREAM "moongate.upstream"
#define OBJECT_POOL     "moongate.pool"
#define NAMES_MAX       128

/* An upstream: in one pool, or wherever it is. */
struct upstream_object {
    uint16_t port;
    char host[256];
    char pool[65];
};

struct pool_object {
    char name[65];
};

static void
keep(char *to, size_t size, struct slice text)
{
    struct slice fit = slice_take(text, size - 1);

    if (fit.len > 0)
        memcpy(to, fit.ptr, fit.len);
    to[fit.len] = '\0';
}

void
pool_check(lua_State *L, const char *what, const char *field, struct slice name)
{
    const struct generation *g = vm_of(L)->generation;
    const struct config *c = g != NULL ? g->config : NULL;
    const char *names[NAMES_MAX + 1];
    size_t count = 0;

    if (c == NULL || config_pool(c, name) != NULL)
        return;
    for (size_t i = 0; i < c->pool_count && count < NAMES_MAX; i++)
        names[count++] = c->pools[i].pool.name.ptr;
    names[count] = NULL;
    const char *near = nearest_name(name.ptr, names);
    if (near == NULL)
        luaL_error(L, "%s: %s: unknown pool \"%s\"", what, field, name.ptr);
    luaL_error(L, "%s: %s: unknown pool \"%s\" (did you mean \"%s\"?)", what,
               field, name.ptr, near);
}

/* --- upstreams --- */

static const struct upstream_object *
check_upstream(lua_State *L)
{
    return luaL_checkudata(L, 1, OBJECT_UPSTREAM);
}

/* What is known of it; what nobody has heard of is up and idle. */
static struct member_facts
facts_of(lua_State *L)
{
    const struct upstream_object *u = check_upstream(L);
    const struct host *host = vm_of(L)->host;
    struct member_facts facts = {.state = MEMBER_UP};
    struct place place = {slice_of(u->pool), slice_of(u->host), u->port};

    (void)pools_find(host->lasting->pools, &place, ev_now(host->loop), &facts);
    return facts;
}

static int
upstream_healthy(lua_State *L)
{
    struct member_facts facts = facts_of(L);

    lua_pushboolean(L, facts.state == MEMBER_UP ||
                           (facts.state == MEMBER_DOWN && facts.seconds <= 0));
    return 1;
}

static int
upstream_sessions(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)facts_of(L).sessions);
    return 1;
}

static int
upstream_failures(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)facts_of(L).failures);
    return 1;
}

static int
upstream_address(lua_State *L)
{
    const struct upstream_object *u = check_upstream(L);

    if (u->port == 0)
        lua_pushstring(L, u->host);
    else
        (void)lua_pushfstring(L, strchr(u->host, ':') ? "[%s]:%d" : "%s:%d",
                              u->host, (int)u->port);
    return 1;
}

static const luaL_Reg upstream_methods[] = {
    {"healthy", upstream_healthy},
    {"sessions", upstream_sessions},
    {"failures", upstream_failures},
    {"address", upstream_address},
    {NULL, NULL},
};

static const luaL_Reg upstream_events[] = {
    {"__tostring", upstream_address},
    {NULL, NULL},
};

static void
push_upstream(lua_State *L, struct slice pool, struct slice host, uint16_t port)
{
    struct upstream_object *u = lua_newuserdata(L, sizeof *u);

    u->port = port;
    keep(u->host, sizeof u->host, host);
    keep(u->pool, sizeof u->pool, pool);
    object_set_type(L, OBJECT_UPSTREAM, upstream_events, upstream_methods);
}

int
upstream_object_of(lua_State *L)
{
    struct slice text;
    struct target t = {0};
    struct error err = {"a pool is no upstream: see moongate.pool"};

    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (!target_parse(text, &t, &err) || t.pool.len > 0)
        return luaL_error(L, "upstream: %s", err.text);
    push_upstream(L, S(""), t.host, t.port);
    return 1;
}

/* --- pools --- */

static int
pool_members(lua_State *L)
{
    const struct pool_object *o = luaL_checkudata(L, 1, OBJECT_POOL);
    const struct generation *g = vm_of(L)->generation;
    const struct upstream_pool *p =
        g != NULL ? config_pool(g->config, slice_of(o->name)) : NULL;

    lua_newtable(L);
    for (size_t i = 0; p != NULL && i < p->pool.count; i++) {
        const struct pool_member *m = &p->pool.members[i];
        push_upstream(L, p->pool.name, m->host, m->port);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int
pool_describe(lua_State *L)
{
    const struct pool_object *o = luaL_checkudata(L, 1, OBJECT_POOL);

    (void)lua_pushfstring(L, "pool:%s", o->name);
    return 1;
}

static const luaL_Reg pool_methods[] = {
    {"members", pool_members},
    {NULL, NULL},
};

static const luaL_Reg pool_events[] = {
    {"__tostring", pool_describe},
    {NULL, NULL},
};

int
pool_object_of(lua_State *L)
{
    struct slice name;

    name.ptr = luaL_checklstring(L, 1, &name.len);
    pool_check(L, "pool", "name", name);
    struct pool_object *o = lua_newuserdata(L, sizeof *o);
    keep(o->name, sizeof o->name, name);
    object_set_type(L, OBJECT_POOL, pool_events, pool_methods);
    return 1;
}
