#include "lua/gate.h"

#include "base/check.h"
#include "lua/call.h"
#include "lua/objects.h"

#include <lauxlib.h>
#include <stdlib.h>

#define METATABLE "internal.gate"

struct gate {
    struct call_watch keeper;
    struct waiter *waiters;
    struct ev_loop *loop;
    ev_timer opening; /* waiters go on from the loop, not inside the keeper */
    lua_State *L;     /* the main thread */
    int self_ref;     /* while somebody waits or keeps it */
    bool open;
};

struct waiter {
    struct waiter *next;
    struct gate *gate;
    struct ticket ticket;
    ev_timer timer; /* of one who does not wait for ever */
};

static struct gate *
check_gate(lua_State *L)
{
    return luaL_checkudata(L, 1, METATABLE);
}

static void
let_go(struct gate *g)
{
    luaL_unref(g->L, LUA_REGISTRYINDEX, g->self_ref);
    g->self_ref = LUA_NOREF;
}

static void
free_waiter(struct waiter *w)
{
    struct waiter **at = &w->gate->waiters;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    ev_timer_stop(w->gate->loop, &w->timer);
    free(w);
}

static void
resume(struct waiter *w, bool open)
{
    struct ticket ticket = w->ticket;

    free_waiter(w);
    lua_State *L = await_done(&ticket);
    if (L == NULL)
        return;
    lua_pushboolean(L, open);
    await_resume(&ticket, 1);
}

/* One at a time: each may end others. Who came last goes first, and has the
 * most time left if somebody must take the place of the keeper. */
static void
on_opening(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct gate *g = container_of(timer, struct gate, opening);

    (void)loop, (void)events;
    while (g->waiters != NULL)
        resume(g->waiters, true);
    let_go(g);
}

static void
gate_open(struct gate *g)
{
    if (g->open)
        return;
    g->open = true;
    list_remove(&g->keeper.link);
    if (g->waiters == NULL)
        let_go(g);
    else
        ev_timer_start(g->loop, &g->opening);
}

static void
on_over(struct call_watch *w)
{
    gate_open(container_of(w, struct gate, keeper));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    resume(container_of(timer, struct waiter, timer), false);
}

static void
cancel_wait(void *op)
{
    free_waiter(op);
}

static int
method_wait(lua_State *L)
{
    struct gate *g = check_gate(L);
    lua_Number seconds = luaL_optnumber(L, 2, 0);

    if (g->open) {
        lua_pushboolean(L, 1);
        return 1;
    }
    struct waiter *w = xcalloc(1, sizeof *w);
    w->gate = g;
    w->next = g->waiters;
    g->waiters = w;
    ev_timer_init(&w->timer, on_timer, seconds, 0.);
    if (seconds > 0) {
        ev_now_update(g->loop);
        ev_timer_start(g->loop, &w->timer);
    }
    return await(L, cancel_wait, w, &w->ticket);
}

static int
method_open(lua_State *L)
{
    gate_open(check_gate(L));
    return 0;
}

static int
method_is_open(lua_State *L)
{
    lua_pushboolean(L, check_gate(L)->open);
    return 1;
}

/* The state is closing: nobody waits any more. */
static int
collect(lua_State *L)
{
    struct gate *g = check_gate(L);

    ev_timer_stop(g->loop, &g->opening);
    list_remove(&g->keeper.link);
    return 0;
}

static const luaL_Reg methods[] = {
    {"wait", method_wait},
    {"open", method_open},
    {"is_open", method_is_open},
    {NULL, NULL},
};

static const luaL_Reg events[] = {{"__gc", collect}, {NULL, NULL}};

int
gate_new(lua_State *L)
{
    struct vm *vm = vm_of(L);

    if (vm->running == NULL)
        return luaL_error(L, "nothing can wait here");
    struct gate *g = lua_newuserdata(L, sizeof *g);
    *g = (struct gate){
        .keeper.over = on_over,
        .loop = vm->host->loop,
        .L = vm->L,
        .self_ref = LUA_NOREF,
    };
    list_init(&g->keeper.link);
    ev_timer_init(&g->opening, on_opening, 0., 0.);
    object_set_type(L, METATABLE, events, methods);
    lua_pushvalue(L, -1);
    g->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    list_append(&vm->running->watches, &g->keeper.link);
    return 1;
}
