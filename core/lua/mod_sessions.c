/* mod_sessions.c -- `moongate.sessions`: count(filter) and kick(filter), over
 * all workers. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/failure.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/session_ask.h"

#include <lauxlib.h>
#include <stdlib.h>

struct op {
    struct session_ask ask;
    struct session_asker *asker;
    struct ticket ticket;
};

static void
cancel(void *arg)
{
    struct op *op = arg;

    op->asker->cancel(op->asker, &op->ask);
    free(op);
}

static void
on_done(struct session_ask *a, uint64_t count, const char *why)
{
    struct op *op = container_of(a, struct op, ask);
    struct ticket ticket = op->ticket;
    lua_State *L = await_done(&ticket);
    int results = 1;

    free(op);
    if (L == NULL)
        return;
    if (why != NULL)
        results = failure_push(L, FAILURE_TIMEOUT, "sessions: %s", why);
    else
        lua_pushnumber(L, (lua_Number)count);
    await_outcome(&ticket, "%s", why != NULL ? why : "answered");
    await_resume(&ticket, results);
}

/* Leaves the values on the stack, so that the slices live. */
static void
read_filter(lua_State *L, const struct options *opts, struct session_ask *a)
{
    static const char *const names[] = {SESSION_ASK_FILTERS};

    luaL_checkstack(L, SESSION_ASK_FILTER_COUNT + 2, "filters");
    for (size_t i = 0; i < SESSION_ASK_FILTER_COUNT; i++) {
        (void)option_bytes(opts, names[i], &a->filters[i]);
        if (a->filters[i].ptr != NULL && a->filters[i].len == 0)
            luaL_error(L, "%s: %s: it is empty", opts->what, names[i]);
    }
    (void)option_bytes(opts, "except", &a->except);
    if (a->kicks)
        (void)option_bytes(opts, "reason", &a->reason);
}

static int
begin(lua_State *L, struct session_ask *a, const char *what)
{
    const struct host *host = host_or_raise(L);
    struct error err;
    int known = await_known(L, "%s", what);

    if (known >= 0)
        return known;
    if (host->asker == NULL) { /* nobody is served here */
        lua_pushinteger(L, 0);
        return 1;
    }
    struct op *op = xcalloc(1, sizeof *op);
    op->ask = *a;
    op->ask.done = on_done;
    op->asker = host->asker;
    if (!op->asker->begin(op->asker, &op->ask, &err)) {
        free(op);
        return luaL_error(L, "%s: %s", what, err.text);
    }
    return await(L, cancel, op, &op->ticket);
}

static int
count(lua_State *L)
{
    static const char *const names[] = {SESSION_ASK_FILTERS, "except", NULL};
    struct session_ask a = {.kicks = false};
    struct options opts = options_check(L, 1, "sessions.count", names);

    read_filter(L, &opts, &a);
    return begin(L, &a, "sessions.count");
}

static int
kick(lua_State *L)
{
    static const char *const names[] = {SESSION_ASK_FILTERS, "except", "reason",
                                        NULL};
    struct session_ask a = {.kicks = true};
    struct options opts = options_check(L, 1, "sessions.kick", names);

    read_filter(L, &opts, &a);
    if (a.filters[0].len == 0 && a.filters[1].len == 0 && a.filters[2].len == 0)
        return luaL_error(L, "sessions.kick: whom? user, session or ip is "
                             "needed");
    return begin(L, &a, "sessions.kick");
}

int
mod_sessions_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"count", count}, {"kick", kick}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
