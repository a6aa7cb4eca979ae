/* hook_mechanisms.c -- which mechanisms a client is offered.  The answer goes
 * into a greeting or a capability list, so the hook can't wait. */
#include "base/log.h"
#include "base/slice.h"
#include "lua/hook_count.h"
#include "lua/hook_run.h"
#include "lua/session_object.h"
#include "lua/trace.h"

#include <lauxlib.h>

struct offer {
    struct call *call;
    unsigned set;
    bool decided; /* some policy returned a list */
};

static bool
find(struct slice name, enum mechanism *m)
{
    if (slice_equal_nocase(name, S("APOP"))) {
        *m = MECHANISM_APOP;
        return true;
    }
    return mechanism_find(name, m);
}

/* Protected: reads the list that the hook returned. */
static int
take_list(lua_State *L)
{
    struct offer *o = lua_touserdata(L, 1);
    lua_State *thread = o->call->thread;

    lua_settop(thread, 1);
    lua_xmove(thread, L, 1);
    if (lua_isnil(L, 2))
        return 0;
    if (!lua_istable(L, 2))
        return luaL_error(L, "a list of names or nil expected, not a %s",
                          luaL_typename(L, 2));
    o->decided = true;
    for (int i = 1; i <= (int)lua_objlen(L, 2); i++) {
        struct slice name;
        enum mechanism m;
        lua_rawgeti(L, 2, i);
        name.ptr = luaL_checklstring(L, -1, &name.len);
        if (!find(name, &m))
            return luaL_error(L, "unknown mechanism \"%s\"", name.ptr);
        o->set |= MECHANISM_BIT(m);
        lua_pop(L, 1);
    }
    return 0;
}

/* Nobody is offered what a broken policy might not want. */
static void
complain(struct offer *o, const struct session *s,
         const struct loaded_policy *p, const char *what)
{
    struct generation *g = o->call->vm->generation;

    o->decided = true;
    g->totals.bugs++;
    hook_count_error(g, HOOK_MECHANISMS, p);
    trace_hook_failed(o->call, s, what);
    log_error("session %s: %s:%d: policy \"%s\", hook \"mechanisms\": %s",
              s->id, p->path, p->lines[HOOK_MECHANISMS], p->name,
              what != NULL ? what : "?");
}

static void
ask_one(struct offer *o, struct session *s, const struct loaded_policy *p,
        int object)
{
    lua_State *L = o->call->vm->L, *thread = call_thread(o->call);

    o->call->policy = p->name;
    if (trace_is_on())
        trace_hook_begin(o->call, s, p, HOOK_MECHANISMS);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, p->hooks[HOOK_MECHANISMS]);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, object);
    if (call_start(o->call, 1) != CALL_RETURNED) {
        complain(o, s, p, o->call->error);
        return;
    }
    if (lua_cpcall(L, take_list, o) != 0) {
        complain(o, s, p, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    call_release(o->call, true);
    trace_hook_decided(o->call, s, NULL);
}

static void
never(struct call *c, enum call_end end)
{
    (void)c;
    (void)end;
}

unsigned
hook_mechanisms(struct generation *g, struct session *s, unsigned otherwise)
{
    const struct chain *chain = generation_chain(g, s->listener);
    const struct loaded_policy *p;
    struct offer o = {0};
    size_t next = 0, first = 0;

    if (chain_next(chain, HOOK_MECHANISMS, &first) == NULL)
        return otherwise;
    o.call = call_new(g->vm, s->listener->limits.hook_timeout, never, NULL);
    if (o.call == NULL) {
        hook_count_overload(g, HOOK_MECHANISMS, s);
        return 0;
    }
    hook_count_call(g, HOOK_MECHANISMS);
    o.call->synchronous = true;
    session_object_push(g->vm->L, s);
    int object = luaL_ref(g->vm->L, LUA_REGISTRYINDEX);
    while ((p = chain_next(chain, HOOK_MECHANISMS, &next)) != NULL)
        ask_one(&o, s, p, object);

    lua_rawgeti(g->vm->L, LUA_REGISTRYINDEX, object);
    session_object_expire(g->vm->L, lua_gettop(g->vm->L));
    lua_pop(g->vm->L, 1);
    luaL_unref(g->vm->L, LUA_REGISTRYINDEX, object);
    call_free(o.call);
    /* Only what the listener enables can be used at all. */
    return o.decided ? o.set & otherwise : otherwise;
}
