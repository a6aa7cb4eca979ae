#include "lua/retained.h"

#include "base/check.h"
#include "lua/generation.h"
#include "lua/secret.h"
#include "lua/vm.h"

#include <ev.h>
#include <lauxlib.h>

#define METATABLE "moongate.retained"

/* A userdata that holds itself, and in its environment the Secret. */
struct retained {
    ev_timer timer;
    struct ev_loop *loop;
    lua_State *L; /* the main thread */
    int self_ref;
};

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct retained *r = container_of(timer, struct retained, timer);
    lua_State *L = r->L;

    (void)loop, (void)events;
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->self_ref);
    lua_getfenv(L, -1);
    lua_rawgeti(L, -1, 1);
    secret_wipe(L, -1);
    lua_pop(L, 3);
    luaL_unref(L, LUA_REGISTRYINDEX, r->self_ref);
}

/* The state is closing; its allocator wipes. */
static int
collect(lua_State *L)
{
    struct retained *r = luaL_checkudata(L, 1, METATABLE);

    ev_timer_stop(r->loop, &r->timer);
    return 0;
}

void
retained_keep(lua_State *L, int index, double seconds)
{
    struct vm *vm = vm_of(L);

    lua_pushvalue(L, index);
    struct retained *r = lua_newuserdata(L, sizeof *r);
    r->loop = vm->host->loop;
    r->L = vm->L;
    ev_timer_init(&r->timer, on_timer, seconds, 0.);
    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    (void)lua_setfenv(L, -2);
    r->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    ev_timer_start(r->loop, &r->timer);
    lua_pop(L, 1);
}
