/* initialise.c -- the `init` hooks of a generation, one after the other. */
#include "base/check.h"
#include "lua/call.h"
#include "lua/generation.h"
#include "lua/hook_count.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define INIT_TIMEOUT 30.

struct initialising {
    struct generation *generation;
    struct call *call;
    size_t next; /* policy */
    void (*done)(void *arg, bool ok, const char *error);
    void *arg;
};

/* The policy whose `init` ran last. */
static const struct loaded_policy *
asked(const struct initialising *i)
{
    return &i->generation->policies[i->next - 1];
}

static void
conclude(struct initialising *i, const char *error)
{
    void (*done)(void *, bool, const char *) = i->done;
    const struct loaded_policy *p = asked(i);
    char text[4096] = "";
    void *arg = i->arg;

    if (error != NULL)
        (void)snprintf(text, sizeof text, "%s:%d: init: %s", p->path,
                       p->lines[HOOK_INIT], error);
    call_free(i->call);
    free(i);
    done(arg, error == NULL, error == NULL ? NULL : text);
}

/* True when the next `init` may run. */
static bool
settle(struct initialising *i, enum call_end end)
{
    switch (end) {
    case CALL_RETURNED:
        call_release(i->call, true);
        return true;
    case CALL_FAILED:
        hook_count_error(i->generation, HOOK_INIT, asked(i));
        conclude(i, i->call->error);
        return false;
    case CALL_TIMEOUT:
        hook_count_timeout(i->generation, HOOK_INIT, asked(i));
        conclude(i, "did not end in time");
        return false;
    case CALL_WAITS:
        return false;
    }
    unreachable();
}

static void
run_rest(struct initialising *i)
{
    struct generation *g = i->generation;

    while (i->next < g->policy_count) {
        const struct loaded_policy *p = &g->policies[i->next++];
        if (p->hooks[HOOK_INIT] == LUA_NOREF)
            continue;
        i->call->policy = p->name;
        hook_count_call(g, HOOK_INIT);
        lua_State *thread = call_thread(i->call);
        lua_rawgeti(thread, LUA_REGISTRYINDEX, p->hooks[HOOK_INIT]);
        if (!settle(i, call_start(i->call, 0)))
            return;
    }
    conclude(i, NULL);
}

static void
finished(struct call *c, enum call_end end)
{
    struct initialising *i = c->arg;

    if (settle(i, end))
        run_rest(i);
}

void
generation_init(struct generation *g,
                void (*done)(void *arg, bool ok, const char *error), void *arg)
{
    struct initialising *i = xcalloc(1, sizeof *i);

    *i = (struct initialising){.generation = g, .done = done, .arg = arg};
    i->call = call_new(g->vm, INIT_TIMEOUT, finished, i);
    require(i->call != NULL);
    run_rest(i);
}
