#include "lua/run.h"

#include "lua/call.h"

#include <lauxlib.h>

/* It may end before the loop has begun to wait, which it must not then. */
static void
run_finished(struct call *c, enum call_end end)
{
    *(enum call_end *)c->arg = end;
    ev_break(c->vm->host->loop, EVBREAK_ONE);
}

int
run_function(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    enum call_end end = CALL_WAITS;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    ev_now_update(host_of(L)->loop);
    struct call *c = call_new(vm_of(L), seconds, run_finished, &end);
    if (c == NULL)
        return luaL_error(L, "too many calls");
    lua_xmove(L, call_thread(c), 1);
    end = call_start(c, 0);
    while (end == CALL_WAITS)
        (void)ev_run(host_of(L)->loop, EVRUN_ONCE);
    int count = 0;
    if (end == CALL_RETURNED) {
        count = lua_gettop(c->thread);
        luaL_checkstack(L, count, "results");
        lua_xmove(c->thread, L, count);
    } else {
        lua_pushstring(L, end == CALL_TIMEOUT ? "timeout" : c->error);
    }
    call_free(c);
    return end == CALL_RETURNED ? count : lua_error(L);
}

int
command_host_open(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, run_function);
    lua_setfield(L, -2, "run");
    return 1;
}
