#include "lua/redis_leases_object.h"

#include "base/log.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/redis_leases.h"
#include "lua/redis_object.h"
#include "lua/shared_arguments.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

#define METATABLE "internal.redis_leases"
#define SHOWN_MAX 96 /* bytes of a key */

struct handle {
    struct redis_leases *all;
};

struct lease_op {
    struct ticket ticket;
    struct redis_lease_ask *ask;
    struct redis_leases *all;
    enum redis_lease_verb verb;
    struct session *session; /* of a TAKE; lives as long as its hook */
    size_t key_len;
    char key[];
};

static struct redis_leases *
check_leases(lua_State *L)
{
    struct handle *h = luaL_checkudata(L, 1, METATABLE);
    return h->all;
}

static void
op_cancel(void *arg)
{
    struct lease_op *op = arg;

    redis_lease_ask_cancel(op->ask);
    free(op);
}

/* A session that has asked twice at once has one place too many. */
static void
keep(const struct lease_op *op)
{
    struct slice key = {op->key, op->key_len};

    if (lease_is_held(op->session, op->all, key))
        redis_leases_give(op->all, key);
    else
        redis_leases_hold(op->all, op->session, key);
}

static int
push_answer(lua_State *L, const struct lease_op *op,
            const struct redis_lease_answer *answer)
{
    if (answer->failed)
        return failure_push(L, answer->kind, "redis %s: %s",
                            redis_leases_server(op->all), answer->text);
    if (op->verb == REDIS_LEASE_COUNT)
        lua_pushnumber(L, (lua_Number)answer->number);
    else
        lua_pushboolean(L, answer->number == 1);
    return 1;
}

static void
on_answer(void *arg, const struct redis_lease_answer *answer)
{
    struct lease_op *op = arg;
    struct ticket ticket = op->ticket;
    lua_State *L = await_done(&ticket);
    bool taken =
        !answer->failed && op->verb == REDIS_LEASE_TAKE && answer->number == 1;
    int results = 0;

    if (L != NULL) {
        if (taken)
            keep(op);
        results = push_answer(L, op, answer);
    } else if (taken) {
        redis_leases_give(op->all, (struct slice){op->key, op->key_len});
    }
    free(op);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", answer->failed ? answer->text : "done");
    await_resume(&ticket, results);
}

static int
ask(lua_State *L, struct redis_leases *all,
    const struct redis_lease_question *q, struct session *s)
{
    char shown[SHOWN_MAX];

    (void)host_or_raise(L);
    (void)log_escape(q->key, shown, sizeof shown);
    int known = await_known(L, "redis %s of places %s",
                            s != NULL ? "lease" : "count", shown);
    if (known >= 0)
        return known;
    struct lease_op *op = calloc(1, sizeof *op + q->key.len);
    if (op == NULL)
        return luaL_error(L, "out of memory");
    op->all = all;
    op->verb = q->verb;
    op->session = s;
    op->key_len = q->key.len;
    memcpy(op->key, q->key.ptr, q->key.len);
    op->ask = redis_leases_ask(all, q, on_answer, op);
    return await(L, op_cancel, op, &op->ticket);
}

static int
leases_lease(lua_State *L)
{
    struct redis_leases *all = check_leases(L);
    struct redis_lease_question q = {REDIS_LEASE_TAKE, shared_check_key(L, 2),
                                     (long long)shared_check_limit(L, 3)};
    struct session *s = shared_check_session(L, 4);

    if (!lease_is_held(s, all, q.key))
        return ask(L, all, &q, s);
    lua_pushboolean(L, 1);
    return 1;
}

/* Redis is told, and need not be waited for. */
static int
leases_give_back(lua_State *L)
{
    const struct redis_leases *all = check_leases(L);
    struct slice key = shared_check_key(L, 2);

    lua_pushboolean(L, lease_give_back(shared_check_session(L, 3), all, key));
    return 1;
}

static int
leases_leased(lua_State *L)
{
    struct redis_leases *all = check_leases(L);
    struct redis_lease_question q = {REDIS_LEASE_COUNT, shared_check_key(L, 2),
                                     0};

    return ask(L, all, &q, NULL);
}

static int
leases_gc(lua_State *L)
{
    struct handle *h = lua_touserdata(L, 1);

    redis_leases_unref(h->all);
    h->all = NULL;
    return 0;
}

int
redis_leases_object_new(lua_State *L)
{
    static const luaL_Reg events[] = {{"__gc", leases_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"lease", leases_lease},
                                       {"give_back", leases_give_back},
                                       {"leased", leases_leased},
                                       {NULL, NULL}};
    struct redis_group *g = redis_pool_check(L, 1);
    struct slice prefix;

    prefix.ptr = luaL_checklstring(L, 2, &prefix.len);
    struct handle *h = lua_newuserdata(L, sizeof *h);
    h->all = NULL;
    object_set_type(L, METATABLE, events, methods);
    h->all = redis_leases_get(host_of(L)->lasting, g, prefix);
    return 1;
}
