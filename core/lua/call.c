#include "lua/call.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/child.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/trace.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define CPU_BURST 0.1 /* seconds without a wait */
#define CPU_TOTAL 0.5 /* of a whole call */

#define EXHAUSTED_AGAIN 60. /* seconds between two times that tell */

#define REDACT_MIN 6 /* bytes of a password */

/* Calls are never given back to malloc, so that a stale ticket may still be
 * compared with the call that it names. */
static struct list free_calls = {&free_calls, &free_calls};
static unsigned long last_sequence;

/* The only value that await yields; Lua code can't get at it. */
static char await_token;

static struct call *
take_call(void)
{
    if (list_is_empty(&free_calls))
        return xcalloc(1, sizeof(struct call));
    struct call *c = container_of(free_calls.next, struct call, link);
    list_remove(&c->link);
    memset(c, 0, sizeof *c);
    return c;
}

static void
cancel_op(struct call *c)
{
    void (*cancel)(void *) = c->cancel;

    c->sequence = 0;
    c->cancel = NULL;
    if (cancel != NULL)
        cancel(c->op);
}

double
call_time_left(const struct call *c)
{
    double left = c->ends - ev_now(c->vm->host->loop);
    return left > 0 ? left : 0;
}

void
call_expire(struct call *c)
{
    cancel_op(c);
    call_release(c, false);
    c->finished(c, CALL_TIMEOUT);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    call_expire(container_of(timer, struct call, deadline));
}

struct call *
call_new(struct vm *vm, double budget,
         void (*finished)(struct call *c, enum call_end end), void *arg)
{
    if (vm->call_count >= CALLS_MAX || vm->closing)
        return NULL;
    struct call *c = take_call();
    c->vm = vm;
    c->policy = "";
    c->thread_ref = LUA_NOREF;
    c->cpu_left = CPU_TOTAL;
    c->finished = finished;
    c->arg = arg;
    c->ends = ev_now(vm->host->loop) + budget;
    ev_init(&c->deadline, on_deadline);
    list_init(&c->children);
    list_init(&c->watches);
    list_append(&vm->calls, &c->link);
    vm->call_count++;
    return c;
}

void
call_free(struct call *c)
{
    if (c == NULL)
        return;
    require(c->vm->running != c);
    cancel_op(c);
    call_release(c, false);
    ev_timer_stop(c->vm->host->loop, &c->deadline);
    free(c->error);
    c->error = NULL;
    c->vm->call_count--;
    list_remove(&c->link);
    list_append(&free_calls, &c->link);
}

lua_State *
call_thread(struct call *c)
{
    struct vm *vm = c->vm;

    require(c->thread == NULL);
    if (vm->thread_count > 0) {
        c->thread_ref = vm->threads[--vm->thread_count];
        lua_rawgeti(vm->L, LUA_REGISTRYINDEX, c->thread_ref);
        c->thread = lua_tothread(vm->L, -1);
        lua_pop(vm->L, 1);
    } else {
        c->thread = lua_newthread(vm->L);
        c->thread_ref = luaL_ref(vm->L, LUA_REGISTRYINDEX);
    }
    return c->thread;
}

static void
tell_watches(struct call *c)
{
    while (!list_is_empty(&c->watches)) {
        struct call_watch *w =
            container_of(c->watches.next, struct call_watch, link);
        list_remove(&w->link);
        w->over(w);
    }
}

void
call_release(struct call *c, bool clean)
{
    struct vm *vm = c->vm;

    if (c->thread == NULL)
        return;
    c->joins = false;
    children_end(c);
    tell_watches(c);
    if (clean && vm->thread_count < VM_THREADS_MAX) {
        lua_settop(c->thread, 0);
        vm->threads[vm->thread_count++] = c->thread_ref;
    } else {
        luaL_unref(vm->L, LUA_REGISTRYINDEX, c->thread_ref);
    }
    c->thread = NULL;
    c->thread_ref = LUA_NOREF;
}

/* Cuts every copy of `hidden` out of the text.  Short ones stay: the holes that
 * they leave in known words would tell what they are. */
static void
redact(char *text, struct slice hidden)
{
    char *at = text;

    if (hidden.len < REDACT_MIN)
        return;
    while ((at = memmem(at, strlen(at), hidden.ptr, hidden.len)) != NULL) {
        char *rest = at + hidden.len;
        memset(at, '*', 3);
        memmove(at + 3, rest, strlen(rest) + 1);
        at += 3;
    }
}

void
call_redact(const struct call *c, char *text)
{
    redact(text, c->redact[0]);
    redact(text, c->redact[1]);
}

static void
keep_error(struct call *c, struct slice text)
{
    char *copy = xstrndup(text.ptr, text.len);

    call_redact(c, copy);
    free(c->error);
    c->error = copy;
}

/* Runs on the main thread, protected: formatting may run out of memory. */
static int
describe_error(lua_State *L)
{
    struct call *c = lua_touserdata(L, 1);
    struct slice text;

    (void)vm_error_text(c->thread, -1);
    lua_xmove(c->thread, L, 1);
    luaL_traceback(L, c->thread, lua_tostring(L, -1), 0);
    text.ptr = lua_tolstring(L, -1, &text.len);
    keep_error(c, text);
    return 0;
}

static enum call_end
fail(struct call *c)
{
    /* The error may be an object whose __tostring is the policy's. */
    struct budget budget = vm_enter(c->vm, CPU_BURST);
    c->vm->memory.capped = false;
    int status = lua_cpcall(c->vm->L, describe_error, c);
    vm_leave(c->vm, budget);
    if (status != 0) {
        lua_pop(c->vm->L, 1);
        keep_error(c, S("an error whose text can't be made"));
    }
    call_release(c, false);
    return CALL_FAILED;
}

static bool
awaits(const struct call *c)
{
    return c->sequence != 0 && lua_gettop(c->thread) == 1 &&
           lua_touserdata(c->thread, 1) == &await_token;
}

/* The deadline of a child is that of its parent. */
static void
arm_deadline(struct call *c)
{
    if (c->parent != NULL || ev_is_active(&c->deadline))
        return;
    ev_timer_set(&c->deadline, call_time_left(c), 0.);
    ev_timer_start(c->vm->host->loop, &c->deadline);
}

/* What the coroutine yielded: one wait, or something that it should not. */
static enum call_end
after_yield(struct call *c)
{
    bool waits = awaits(c);

    lua_settop(c->thread, 0);
    if (!waits) {
        cancel_op(c);
        lua_pushliteral(c->thread, "coroutine.yield outside of a coroutine");
        return fail(c);
    }
    arm_deadline(c);
    return CALL_WAITS;
}

/* The state was full, whether or not the policy caught that error. */
static void
exhausted(struct vm *vm)
{
    const struct host *host = vm->host;
    ev_tstamp now = ev_now(host->loop);
    bool again =
        vm->exhausted_at != 0 && now - vm->exhausted_at < EXHAUSTED_AGAIN;

    vm->memory.refused = false;
    vm->exhausted_at = now;
    /* It is full of garbage; the next hook must not fail for it. */
    if (vm->memory.used > vm->memory.cap / 2)
        gc_collect(vm);
    log_warn("the policies' memory was full; %zu MiB are in use",
             vm->memory.used >> 20);
    counters_count(vm_counters(vm), "lua_memory_exhausted_total");
    if (!again || vm->generation == NULL || vm->generation->exhausted)
        return;
    vm->generation->exhausted = true;
    if (host->exhausted != NULL)
        host->exhausted(host->arg, vm->generation);
}

/* Its function has returned; its children may still run, or have failed
 * without anybody having been told. */
static enum call_end
join(struct call *c)
{
    c->joins = children_run(c);
    if (c->joins) {
        arm_deadline(c);
        return CALL_WAITS;
    }
    const char *error = children_error(c);
    if (error == NULL)
        return CALL_RETURNED;
    keep_error(c, slice_of(error));
    call_release(c, false);
    return CALL_FAILED;
}

void
call_joined(struct call *c)
{
    c->finished(c, join(c));
}

static enum call_end
after_end(struct call *c, int status)
{
    cancel_op(c);
    return status == 0 ? join(c) : fail(c);
}

/* Children have the CPU time of their parent. */
static struct call *
root_of(struct call *c)
{
    while (c->parent != NULL)
        c = c->parent;
    return c;
}

/* What a child used within a burst of its family is in that burst. */
static bool
is_counted(const struct call *root, struct call *outer)
{
    return outer == NULL || root_of(outer) != root;
}

static enum call_end
resume(struct call *c, int nargs)
{
    struct vm *vm = c->vm;
    struct call *outer = vm->running, *root = root_of(c);
    double left = root->cpu_left < CPU_BURST ? root->cpu_left : CPU_BURST;

    vm->running = c;
    struct budget budget = vm_enter(vm, left);
    int status = lua_resume(c->thread, nargs);
    if (is_counted(root, outer))
        root->cpu_left -= vm_spent(vm);
    if (vm->budget.over)
        counters_count(vm_counters(vm), "hook_cpu_kills_total");
    vm_leave(vm, budget);
    vm->running = outer;

    enum call_end end =
        status == LUA_YIELD ? after_yield(c) : after_end(c, status);
    if (vm->memory.refused)
        exhausted(vm);
    return end;
}

void
call_check_function(lua_State *L, int index)
{
    if (lua_isfunction(L, index))
        return;
    if (!luaL_getmetafield(L, index, "__call"))
        luaL_checktype(L, index, LUA_TFUNCTION);
    lua_pop(L, 1);
}

enum call_end
call_start(struct call *c, int nargs)
{
    return resume(c, nargs);
}

/* --- await.h --- */

static const char *
why_not(const struct vm *vm)
{
    if (vm->top_level > 0 || vm->running == NULL)
        return "await in module top level: move it into init()";
    if (vm->running->synchronous)
        return "`mechanisms` can't wait: decide from what is in memory";
    return "can't wait inside a sort, gsub or other C callback";
}

/* One operation at a time. */
static void
expect(struct call *c, void (*cancel)(void *op), void *op)
{
    require(c->sequence == 0);
    c->sequence = ++last_sequence;
    c->cancel = cancel;
    c->op = op;
}

int
await(lua_State *L, void (*cancel)(void *op), void *op, struct ticket *ticket)
{
    struct vm *vm = vm_of(L);
    struct call *c = vm->running;

    if (c == NULL || c->synchronous || vm->top_level > 0 ||
        !lua_isyieldable(L)) {
        cancel(op);
        return luaL_error(L, "%s", why_not(vm));
    }
    expect(c, cancel, op);
    *ticket = (struct ticket){c, c->sequence};
    if (c->trace != NULL)
        trace_wait_begin(c);
    lua_settop(L, 0);
    lua_pushlightuserdata(L, &await_token);
    return lua_yield(L, 1);
}

lua_State *
await_done(struct ticket *ticket)
{
    struct call *c = ticket->call;

    if (c == NULL || ticket->sequence == 0 || c->sequence != ticket->sequence)
        return NULL;
    return c->thread;
}

void
await_resume(struct ticket *ticket, int results)
{
    struct call *c = ticket->call;

    require(await_done(ticket) != NULL);
    ticket->sequence = 0;
    c->sequence = 0;
    c->cancel = NULL;
    if (c->trace != NULL)
        trace_wait_end(c, results);
    enum call_end end = resume(c, results);
    if (end != CALL_WAITS)
        c->finished(c, end);
}

double
await_time_left(lua_State *L)
{
    const struct call *c = vm_of(L)->running;
    return c == NULL ? 0 : call_time_left(c);
}

const struct host *
host_of(lua_State *L)
{
    return vm_of(L)->host;
}

/* --- native hooks --- */

struct ticket
call_wait(struct call *c, void (*cancel)(void *op), void *op)
{
    expect(c, cancel, op);
    arm_deadline(c);
    return (struct ticket){c, c->sequence};
}

void
call_set_answer(struct call *c, lua_CFunction push, void *arg)
{
    c->answer = push;
    c->op = arg;
}

void
call_answer(struct ticket ticket, lua_CFunction push, void *arg)
{
    struct call *c = ticket.call;

    require(c->sequence == ticket.sequence);
    c->sequence = 0;
    c->cancel = NULL;
    call_set_answer(c, push, arg);
    c->finished(c, CALL_RETURNED);
}

bool
call_is_token(lua_State *L, int index)
{
    return lua_touserdata(L, index) == &await_token;
}
