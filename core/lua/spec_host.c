#include "lua/spec_host.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/call.h"
#include "lua/spec_gateway.h"

#include <lauxlib.h>

#define LOG_MAX ((size_t)1 << 20)

/* Messages since the last look; specs of one process share the logger. */
static struct buf logged;

static void
keep_line(enum log_level level, struct slice line)
{
    (void)level;
    if (!buf_append(&logged, line) || !buf_append(&logged, S("\n")))
        return;
}

static void
run_finished(struct call *c, enum call_end end)
{
    *(enum call_end *)c->arg = end;
}

/* (seconds, function): runs it as a hook would run, waits, and returns what it
 * returns; raises what it raises. */
static int
host_run(lua_State *L)
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

/* What was logged since the last call. */
static int
host_logged(lua_State *L)
{
    struct slice text = buf_bytes(&logged);

    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    buf_consume(&logged, text.len);
    return 1;
}

static const luaL_Reg functions[] = {
    {"open", spec_gateway_open},
    {"run", host_run},
    {"logged", host_logged},
    {NULL, NULL},
};

int
spec_host_open(lua_State *L)
{
    if (logged.cap == 0) {
        buf_init(&logged, LOG_MAX);
        log_set_level(LOG_DEBUG);
        log_set_sink(keep_line);
    }
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
