#include "lua/detach.h"

#include "base/check.h"
#include "base/log.h"
#include "lua/call.h"
#include "lua/failure.h"
#include "lua/hook_run.h"
#include "lua/lasting.h"
#include "lua/objects.h"
#include "lua/session_object.h"
#include "lua/vars.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSIONS_MAX 4
#define ARGS_MAX     50

struct detached {
    struct call *call;
    ev_timer start;
    int nargs;
    int objects; /* registry: the session objects, in a table */
    struct session *sessions[SESSIONS_MAX];
    size_t session_count;
    char where[256]; /* file:line */
};

static void
detached_free(struct detached *d)
{
    struct call *c = d->call;
    const struct host *host = c->vm->host;
    lua_State *L = c->vm->L;

    ev_timer_stop(host->loop, &d->start);
    call_free(c);
    lua_rawgeti(L, LUA_REGISTRYINDEX, d->objects);
    if (lua_istable(L, -1))
        hook_expire_objects(L);
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, d->objects);
    for (size_t i = 0; i < d->session_count; i++)
        session_snapshot_free(d->sessions[i]);
    host->lasting->detached--;
    free(d);
}

static void
log_failure(const struct detached *d, const char *why)
{
    log_error("session %s: detached at %s: %s",
              d->session_count > 0 ? d->sessions[0]->id : "-", d->where, why);
}

static void
finished(struct call *c, enum call_end end)
{
    struct detached *d = c->arg;

    if (end == CALL_FAILED)
        log_failure(d, c->error);
    if (end == CALL_TIMEOUT && c->vm->serving && !c->vm->closing)
        log_failure(d, "did not end in time, cancelled");
    if (end == CALL_RETURNED)
        call_release(c, true);
    detached_free(d);
}

static void
on_start(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct detached *d = container_of(timer, struct detached, start);

    (void)loop, (void)events;
    enum call_end end = call_start(d->call, d->nargs);
    if (end != CALL_WAITS)
        finished(d->call, end);
}

/* A copy for the one at `index`; `objects` is a table on the stack. */
static void
replace_session(lua_State *L, struct detached *d, int index, int objects)
{
    struct session *copy = session_snapshot(object_session(L, index));
    struct vars *vars = copy->record.vars;
    copy->record.vars = vars != NULL ? vars_copy(vars) : NULL;
    vars_unref(vars);
    d->sessions[d->session_count++] = copy;
    session_object_push(L, copy);
    lua_pushvalue(L, -1);
    lua_rawseti(L, objects, (int)d->session_count);
    lua_replace(L, index);
}

static void
set_where(lua_State *L, struct detached *d)
{
    lua_Debug about;

    (void)snprintf(d->where, sizeof d->where, "?");
    if (lua_getstack(L, 1, &about) && lua_getinfo(L, "Sl", &about))
        (void)snprintf(d->where, sizeof d->where, "%s:%d", about.short_src,
                       about.currentline);
}

static void
check_argument(lua_State *L, int index, size_t *sessions)
{
    if (object_test(L, index, OBJECT_CREDENTIALS) != NULL)
        luaL_argerror(L, index,
                      "credentials end with the decision: pass "
                      "credentials:retain(seconds)");
    if (object_test(L, index, OBJECT_SESSION) == NULL)
        return;
    (void)object_session(L, index);
    ++*sessions;
}

static struct vm *
check_place(lua_State *L)
{
    struct vm *vm = vm_of(L);
    size_t sessions = 0;

    call_check_function(L, 1);
    luaL_argcheck(L, lua_gettop(L) <= ARGS_MAX, ARGS_MAX, "too many arguments");
    if (vm->running == NULL || vm->top_level > 0)
        luaL_error(L, "detach: only a hook or a timer can detach");
    for (int i = 2; i <= lua_gettop(L); i++)
        check_argument(L, i, &sessions);
    luaL_argcheck(L, sessions <= SESSIONS_MAX, 2, "at most 4 sessions");
    return vm;
}

/* NULL when there are too many.  Should memory be short from here on, its
 * time ends it. */
static struct detached *
detached_new(struct vm *vm)
{
    struct lasting *lasting = vm->host->lasting;
    struct call *c;

    if (lasting->detached >= DETACHED_MAX)
        return NULL;
    c = call_new(vm, DETACHED_SECONDS, finished, NULL);
    if (c == NULL)
        return NULL;
    struct detached *d = xcalloc(1, sizeof *d);
    d->call = c;
    d->objects = LUA_NOREF;
    ev_timer_init(&d->start, on_start, 0., 0.);
    c->arg = d;
    c->background = true;
    c->policy = vm->running->policy;
    ev_timer_set(&c->deadline, DETACHED_SECONDS, 0.);
    ev_timer_start(vm->host->loop, &c->deadline);
    lasting->detached++;
    return d;
}

int
detach(lua_State *L)
{
    struct vm *vm = check_place(L);
    struct detached *d = detached_new(vm);

    if (d == NULL)
        return failure_push(L, FAILURE_OVERLOAD,
                            "detach: too many functions run already");
    set_where(L, d);
    d->nargs = lua_gettop(L) - 1;
    lua_newtable(L);
    lua_pushvalue(L, -1);
    d->objects = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_insert(L, 1);
    for (int i = 3; i <= d->nargs + 2; i++) {
        if (object_test(L, i, OBJECT_SESSION) != NULL)
            replace_session(L, d, i, 1);
    }
    lua_State *thread = call_thread(d->call);
    luaL_checkstack(thread, d->nargs + 1, "arguments");
    lua_xmove(L, thread, d->nargs + 1);
    ev_timer_start(vm->host->loop, &d->start);
    lua_pushboolean(L, 1);
    return 1;
}
