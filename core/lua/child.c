#include "lua/child.h"

#include "base/check.h"
#include "lua/call.h"
#include "lua/failure.h"
#include "lua/trace.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define METATABLE "moongate.child"

/* The results are in the environment of the userdata, with their number as
 * "n". */
struct child {
    struct list link;     /* in parent->children: runs, or failed untold */
    struct call *parent;  /* NULL once its function is over */
    struct call *call;    /* NULL once it has ended */
    struct ticket waiter; /* the parent, while it waits */
    lua_State *L;         /* the main thread */
    int self_ref;         /* while it is listed */
    char *error;
};

static struct child *
child_of(struct list *link)
{
    return container_of(link, struct child, link);
}

static void
forget(struct child *o)
{
    list_remove(&o->link);
    luaL_unref(o->L, LUA_REGISTRYINDEX, o->self_ref);
    o->self_ref = LUA_NOREF;
}

/* --- for call.c --- */

bool
children_run(const struct call *c)
{
    for (struct list *l = c->children.next; l != &c->children; l = l->next) {
        if (child_of(l)->call != NULL)
            return true;
    }
    return false;
}

const char *
children_error(const struct call *c)
{
    return list_is_empty(&c->children) ? NULL
                                       : child_of(c->children.next)->error;
}

void
children_end(struct call *c)
{
    while (!list_is_empty(&c->children)) {
        struct child *o = child_of(c->children.next);
        struct call *call = o->call;
        o->call = o->parent = NULL;
        forget(o);
        if (call != NULL)
            trace_child_end(call);
        call_free(call);
    }
}

/* --- the end of one --- */

/* Protected: on the main thread. */
static int
keep_results(lua_State *L)
{
    struct child *o = lua_touserdata(L, 1);
    lua_State *thread = o->call->thread;
    int count = lua_gettop(thread);

    luaL_checkstack(L, count + 4, "results");
    lua_rawgeti(L, LUA_REGISTRYINDEX, o->self_ref);
    lua_getfenv(L, -1);
    int table = lua_gettop(L);
    lua_xmove(thread, L, count);
    for (int i = count; i >= 1; i--)
        lua_rawseti(L, table, i);
    lua_pushinteger(L, count);
    lua_setfield(L, table, "n");
    return 0;
}

static void
set_error(struct child *o, const char *text)
{
    free(o->error);
    o->error = xstrndup(text, strlen(text));
}

static void
take_results(struct child *o)
{
    if (lua_cpcall(o->L, keep_results, o) != 0) {
        set_error(o, "no memory for the results of a child");
        lua_pop(o->L, 1);
    }
    call_release(o->call, true);
}

/* Pushes what `wait` gives; returns how many values. */
static int
push_outcome(lua_State *L, struct child *o)
{
    lua_pushboolean(L, o->error == NULL);
    if (o->error != NULL) {
        lua_pushstring(L, o->error);
        return 2;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, o->self_ref);
    lua_getfenv(L, -1);
    lua_remove(L, -2);
    int table = lua_gettop(L);
    lua_getfield(L, table, "n");
    int count = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, count, "results");
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count + 1;
}

/* Protected: the parent's thread is the argument's business. */
static int
push_protected(lua_State *L)
{
    struct child *o = lua_touserdata(L, 1);
    int count = push_outcome(L, o);

    lua_State *thread = await_done(&o->waiter);
    luaL_checkstack(thread, count, "results");
    lua_xmove(L, thread, count);
    return 0;
}

static void
resume_parent(struct child *o)
{
    struct ticket ticket = o->waiter;
    lua_State *thread = await_done(&ticket);

    if (lua_cpcall(o->L, push_protected, o) != 0) {
        lua_pop(o->L, 1);
        lua_settop(thread, 0);
        lua_pushboolean(thread, 0);
    }
    o->waiter = (struct ticket){0};
    forget(o);
    await_resume(&ticket, lua_gettop(thread));
}

/* Whoever is left of the family goes on. */
static void
settle(struct child *o)
{
    struct call *parent = o->parent;

    if (o->waiter.call != NULL) {
        resume_parent(o);
        return;
    }
    if (o->error == NULL)
        forget(o);
    if (parent->joins && !children_run(parent))
        call_joined(parent);
}

static void
finished(struct call *c, enum call_end end)
{
    struct child *o = c->arg;

    if (end == CALL_RETURNED)
        take_results(o);
    else if (end == CALL_FAILED)
        set_error(o, c->error);
    else
        set_error(o, "the child did not end in time");
    o->call = NULL;
    trace_child_end(c);
    call_free(c);
    settle(o);
}

/* --- for Lua --- */

static int
collect(lua_State *L)
{
    struct child *o = luaL_checkudata(L, 1, METATABLE);

    free(o->error);
    o->error = NULL;
    return 0;
}

static void
set_type(lua_State *L)
{
    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        lua_newtable(L);
        vm_core(L, "wait_for_child");
        lua_setfield(L, -2, "wait");
        lua_pushcfunction(L, child_cancel);
        lua_setfield(L, -2, "cancel");
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

/* Pushes it, and lists it among the parent's. */
static struct child *
child_new(lua_State *L, struct call *parent)
{
    struct child *o = lua_newuserdata(L, sizeof *o);

    *o = (struct child){.L = parent->vm->L, .self_ref = LUA_NOREF};
    list_init(&o->link);
    set_type(L);
    lua_newtable(L);
    (void)lua_setfenv(L, -2);
    lua_pushvalue(L, -1);
    o->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    o->parent = parent;
    return o;
}

static struct call *
check_parent(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    struct call *parent = vm->running;

    if (parent == NULL || parent->synchronous || vm->top_level > 0)
        luaL_error(L, "spawn: nothing can wait here");
    else if (parent->child_count >= CHILDREN_MAX)
        luaL_error(L, "spawn: a hook may have %d children", CHILDREN_MAX);
    return parent;
}

/* A call for it; NULL when too many run. */
static struct call *
call_of(struct child *o)
{
    struct call *parent = o->parent;
    struct call *c = call_new(parent->vm, call_time_left(parent), finished, o);

    if (c == NULL)
        return NULL;
    c->parent = parent;
    c->policy = parent->policy;
    c->is_shadow = parent->is_shadow;
    c->background = parent->background;
    memcpy(c->redact, parent->redact, sizeof c->redact);
    trace_child_begin(c, parent);
    parent->child_count++;
    list_append(&parent->children, &o->link);
    o->call = c;
    return c;
}

int
child_spawn(lua_State *L)
{
    call_check_function(L, 1);
    int nargs = lua_gettop(L) - 1;
    struct child *o = child_new(L, check_parent(L));
    struct call *c = call_of(o);

    if (c == NULL) {
        forget(o);
        return failure_push(L, FAILURE_OVERLOAD,
                            "spawn: too many hooks run already");
    }
    lua_insert(L, 1);
    lua_State *thread = call_thread(c);
    luaL_checkstack(thread, nargs + 1, "arguments");
    lua_xmove(L, thread, nargs + 1);
    enum call_end end = call_start(c, nargs);
    if (end != CALL_WAITS)
        finished(c, end);
    return 1;
}

static void
cancel_wait(void *op)
{
    struct child *o = op;

    o->waiter = (struct ticket){0};
}

int
child_wait(lua_State *L)
{
    struct child *o = luaL_checkudata(L, 1, METATABLE);

    if (o->call != NULL && o->parent != vm_of(L)->running)
        return luaL_error(L, "wait: only who spawned it may wait for it");
    if (o->call != NULL)
        return await(L, cancel_wait, o, &o->waiter);
    if (o->self_ref == LUA_NOREF) { /* forgotten: its results are not */
        lua_pushvalue(L, 1);
        o->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    int count = push_outcome(L, o);
    forget(o);
    return count;
}

int
child_cancel(lua_State *L)
{
    struct child *o = luaL_checkudata(L, 1, METATABLE);
    struct call *c = o->call;

    lua_pushboolean(L, c != NULL);
    if (c == NULL)
        return 1;
    if (o->parent != vm_of(L)->running)
        return luaL_error(L, "cancel: only who spawned it may cancel it");
    o->call = NULL;
    set_error(o, "cancelled");
    forget(o);
    trace_child_end(c);
    call_free(c);
    return 1;
}
