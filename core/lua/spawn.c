/* spawn.c -- coroutines that no hook waits for: timers, detached work. */
#include "base/check.h"
#include "base/log.h"
#include "lua/call.h"

#include <stdlib.h>
#include <string.h>

static void
finished(struct call *c, enum call_end end)
{
    char *name = c->arg;

    if (end == CALL_FAILED)
        log_error("%s: %s", name, c->error);
    if (end == CALL_TIMEOUT && c->vm->serving && !c->vm->closing)
        log_error("%s: did not end in time, cancelled", name);
    if (end == CALL_RETURNED)
        call_release(c, true);
    call_free(c);
    free(name);
}

void
call_spawn(lua_State *L, const char *name, int nargs, double budget)
{
    struct vm *vm = vm_of(L);
    char *copy = xstrndup(name, strlen(name));
    struct call *c = call_new(vm, budget, finished, copy);

    if (c == NULL) {
        log_error("%s: too many calls run already", name);
        lua_pop(L, nargs + 1);
        free(copy);
        return;
    }
    c->background = true;
    if (vm->running != NULL)
        c->policy = vm->running->policy;
    lua_xmove(L, call_thread(c), nargs + 1);
    enum call_end end = call_start(c, nargs);
    if (end != CALL_WAITS)
        finished(c, end);
}
