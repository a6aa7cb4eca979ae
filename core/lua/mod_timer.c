/* mod_timer.c -- `moongate.timer`: every(seconds, name, fn, opts) and
 * after(seconds, name, fn, opts).
 *
 * A timer belongs to the generation that made it: it runs while that serves,
 * and ends with it, or when its handle's `cancel` is called.  The body is a
 * coroutine of its own that may wait; a turn that comes while the last one
 * still runs is left out. */
#include "base/check.h"
#include "base/list.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/policy_lua.h"
#include "lua/timers.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdio.h>

#define METATABLE "moongate.timer"

struct timer {
    struct list link; /* in vm->timers; in none once it is over */
    ev_timer watcher;
    struct ev_loop *loop; /* NULL where nothing is served: `check` */
    lua_State *L;         /* the main thread */
    int self_ref;         /* while it is active; else LUA_NOREF */
    int body_ref;
    double budget;
    ev_tstamp busy_until; /* a turn runs that began; 0: none */
    bool repeats;
    bool elsewhere; /* another worker's turn: once_per = "gateway" */
    char name[128];
};

static void
timer_stop(struct timer *t)
{
    if (t->loop != NULL)
        ev_timer_stop(t->loop, &t->watcher);
    list_remove(&t->link);
    luaL_unref(t->L, LUA_REGISTRYINDEX, t->body_ref);
    luaL_unref(t->L, LUA_REGISTRYINDEX, t->self_ref);
    t->body_ref = t->self_ref = LUA_NOREF;
}

static int
timer_cancel(lua_State *L)
{
    timer_stop(luaL_checkudata(L, 1, METATABLE));
    return 0;
}

/* The state is closing: its registry is gone, the watcher must go too. */
static int
timer_gc(lua_State *L)
{
    struct timer *t = luaL_checkudata(L, 1, METATABLE);

    if (t->loop != NULL)
        ev_timer_stop(t->loop, &t->watcher);
    list_remove(&t->link);
    return 0;
}

static void
timer_start(struct timer *t)
{
    if (t->loop != NULL && !t->elsewhere)
        ev_timer_start(t->loop, &t->watcher);
}

static struct timer *
timer_of(struct list *link)
{
    return container_of(link, struct timer, link);
}

void
timers_start(struct vm *vm)
{
    vm->serving = true;
    for (struct list *l = vm->timers.next; l != &vm->timers; l = l->next)
        timer_start(timer_of(l));
}

void
timers_stop(struct vm *vm)
{
    vm->serving = false;
    while (!list_is_empty(&vm->timers))
        timer_stop(timer_of(vm->timers.next));
}

/* Called by the body's wrapper when it ends, in whatever way. */
static int
timer_ended(lua_State *L)
{
    struct timer *t = luaL_checkudata(L, 1, METATABLE);

    t->busy_until = 0;
    return 0;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct timer *t = container_of(w, struct timer, watcher);
    lua_State *L = t->L;

    (void)events;
    if (t->busy_until > ev_now(loop))
        return;
    t->busy_until = ev_now(loop) + t->budget;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->body_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->self_ref);
    if (!t->repeats)
        timer_stop(t);
    call_spawn(L, t->name, 1, t->budget);
}

/* Pushes the function that runs the body at `index` and then tells the timer,
 * its argument.  Written in Lua, because the body may wait. */
static void
push_wrapper(lua_State *L, int index)
{
    static const char text[] = "local body, ended, xpcall, error, trace = ...\n"
                               "return function(timer)\n"
                               "  local ok, err = xpcall(body, trace)\n"
                               "  ended(timer)\n"
                               "  if not ok then error(err, 0) end\n"
                               "end\n";

    if (luaL_loadbuffer(L, text, sizeof(text) - 1, "=moongate.timer") != 0)
        (void)lua_error(L);
    lua_pushvalue(L, index);
    lua_pushcfunction(L, timer_ended);
    lua_getglobal(L, "xpcall");
    lua_getglobal(L, "error");
    lua_getglobal(L, "debug");
    lua_getfield(L, -1, "traceback");
    lua_remove(L, -2);
    lua_call(L, 5, 1);
}

static bool
is_once_per_gateway(const struct options *opts)
{
    struct slice scope = S("worker");
    bool given = option_bytes(opts, "once_per", &scope);

    if (!slice_equal(scope, S("worker")) && !slice_equal(scope, S("gateway")))
        (void)luaL_error(opts->L, "%s: once_per is \"worker\" or \"gateway\"",
                         opts->what);
    bool once = slice_equal(scope, S("gateway"));
    if (given)
        lua_pop(opts->L, 1);
    return once;
}

static int
timer_new(lua_State *L, bool repeats, const char *what)
{
    static const char *const names[] = {"budget", "once_per", NULL};
    double seconds = luaL_checknumber(L, 1);
    const char *name = luaL_checkstring(L, 2);

    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct options opts = options_check(L, 4, what, names);
    if (!(seconds >= (repeats ? 0.01 : 0)) || seconds > 1e8)
        return luaL_argerror(L, 1, "seconds out of range");
    double budget =
        option_number(&opts, "budget", (struct option_range){10, 0.01, 3600});
    bool once = is_once_per_gateway(&opts);

    struct vm *vm = vm_of(L);
    struct timer *t = lua_newuserdata(L, sizeof(*t));
    *t = (struct timer){
        .loop = vm->host != NULL ? vm->host->loop : NULL,
        .L = vm->L,
        .budget = budget,
        .repeats = repeats,
        .elsewhere = once && vm->host != NULL && vm->host->worker > 1,
        .self_ref = LUA_NOREF,
        .body_ref = LUA_NOREF,
    };
    (void)snprintf(t->name, sizeof(t->name), "timer %s", name);
    list_init(&t->link);
    ev_timer_init(&t->watcher, on_timer, seconds, repeats ? seconds : 0.);
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    push_wrapper(L, 3);
    t->body_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    t->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    list_append(&vm->timers, &t->link);
    if (vm->serving)
        timer_start(t);
    return 1;
}

static int
timer_every(lua_State *L)
{
    return timer_new(L, true, "timer.every");
}

static int
timer_after(lua_State *L)
{
    return timer_new(L, false, "timer.after");
}

int
mod_timer_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"every", timer_every}, {"after", timer_after}, {NULL, NULL}};

    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, timer_gc);
        lua_setfield(L, -2, "__gc");
        lua_newtable(L);
        lua_pushcfunction(L, timer_cancel);
        lua_setfield(L, -2, "cancel");
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
