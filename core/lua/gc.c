#include "lua/gc.h"

#include "base/check.h"
#include "base/log.h"
#include "lua/lasting.h"
#include "lua/policy_lua.h"
#include "lua/vm.h"

#include <time.h>

#define SLICE       0.0002 /* seconds that a turn of the loop may take longer */
#define STEPS       16     /* between two looks at the clock */
#define GARBAGE_MIN ((size_t)64 << 10) /* less is not worth a cycle */

/* CPU time: others that take the processor away make no pause of ours. */
static double
now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A quarter more than is alive, and LuaJIT itself at twice that. */
static void
set_begin(struct vm *vm)
{
    size_t used = vm->memory.used;
    size_t garbage = used / 4 > GARBAGE_MIN ? used / 4 : GARBAGE_MIN;

    vm->gc.begin_at = used + garbage;
    (void)lua_gc(vm->L, LUA_GCSETPAUSE, (int)(100 + 200 * garbage / used));
}

static void
tell(struct vm *vm)
{
    struct gc *gc = &vm->gc;

    gc->memory->value += (double)vm->memory.used - (double)gc->told;
    gc->told = vm->memory.used;
}

/* True at the end of a cycle. */
static bool
collect_some(lua_State *L)
{
    for (int i = 0; i < STEPS; i++) {
        if (lua_gc(L, LUA_GCSTEP, 0) != 0)
            return true;
    }
    return false;
}

static void
on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
    struct vm *vm = container_of(idle, struct vm, gc.idle);
    double began = now(), took;
    bool done;

    (void)events;
    do {
        done = collect_some(vm->L);
        took = now() - began;
    } while (!done && took < SLICE);
    if (took > vm->gc.longest->value)
        vm->gc.longest->value = took;
    if (!done)
        return;
    ev_idle_stop(loop, idle);
    set_begin(vm);
    tell(vm);
    log_debug("lua: %zu bytes are left after a collection; the longest pause "
              "so far was %.2f ms",
              vm->memory.used, vm->gc.longest->value * 1e3);
}

void
gc_init(struct vm *vm)
{
    struct counters *counters = vm_counters(vm);

    vm->gc.memory = counters_gauge(counters, "lua_memory_bytes");
    vm->gc.longest = counters_gauge(counters, "lua_gc_longest_seconds");
    ev_idle_init(&vm->gc.idle, on_idle);
    set_begin(vm);
    tell(vm);
}

void
gc_deinit(struct vm *vm)
{
    if (vm->gc.memory == NULL)
        return;
    ev_idle_stop(vm->host->loop, &vm->gc.idle);
    vm->gc.memory->value -= (double)vm->gc.told;
}

void
gc_look(struct vm *vm)
{
    if (vm->gc.memory == NULL)
        return;
    tell(vm);
    if (vm->memory.used > vm->gc.begin_at)
        ev_idle_start(vm->host->loop, &vm->gc.idle);
}

void
gc_collect(struct vm *vm)
{
    (void)lua_gc(vm->L, LUA_GCCOLLECT, 0);
    ev_idle_stop(vm->host->loop, &vm->gc.idle);
    set_begin(vm);
    tell(vm);
}
