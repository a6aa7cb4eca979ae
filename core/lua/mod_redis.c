/* mod_redis.c -- `moongate.redis`: pool{...} gives a pool, whose methods send
 * one command each; between begin and end of `pipeline` they are written down
 * and sent together. */
#include "base/digest.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/generation.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/redis_command.h"
#include "lua/redis_object.h"
#include "lua/redis_options.h"
#include "lua/redis_subscription.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#define POOL     "moongate.redis.pool"
#define PIPELINE "moongate.redis.pipeline"

struct redis_handle {
    struct redis_group *group;
};

/* What stands for the pool inside `pipeline`. */
struct redis_pipeline {
    struct redis_writing *writing; /* NULL: it has been sent */
};

struct redis_op {
    struct ticket ticket;
    struct redis_exchange *exchange;
    struct redis_group *group; /* a reference */
    bool hides, list;
    unsigned char wants[]; /* one for each answer */
};

struct redis_group *
redis_pool_check(lua_State *L, int index)
{
    struct redis_handle *self = luaL_checkudata(L, index, POOL);
    return self->group;
}

static struct redis_group *
check_group(lua_State *L)
{
    return redis_pool_check(L, 1);
}

/* --- asking --- */

static void
op_free(struct redis_op *op)
{
    redis_group_unref(op->group);
    free(op);
}

static const char *
outcome_word(const struct redis_outcome *o)
{
    if (o->replies == NULL)
        return o->text;
    return o->replies[0]->kind == REDIS_ERROR ? "an error"
           : o->replies[0]->kind == REDIS_NIL ? "nil"
                                              : "done";
}

static void
on_outcome(void *arg, const struct redis_outcome *o)
{
    struct redis_op *op = arg;
    struct ticket ticket = op->ticket;
    lua_State *L = await_done(&ticket);
    int results = 0;

    if (L != NULL)
        results = redis_push_outcome(
            L, o,
            &(struct redis_manner){op->group->pool->server.name, op->wants,
                                   op->hides, op->list});
    op_free(op);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", outcome_word(o));
    await_resume(&ticket, results);
}

static void
op_cancel(void *arg)
{
    struct redis_op *op = arg;

    redis_exchange_cancel(op->exchange);
    op_free(op);
}

static int
ask(lua_State *L, struct redis_group *g, struct redis_writing *w, bool list)
{
    size_t count = w->question.count;

    (void)host_or_raise(L);
    int known = list ? await_known(L, "redis pipeline %zu %s", count, w->name)
                     : await_known(L, "redis %s", w->name);
    if (known >= 0)
        return known;
    struct redis_op *op = calloc(1, sizeof *op + count);
    if (op == NULL)
        return luaL_error(L, "out of memory");
    op->group = redis_group_ref(g);
    op->hides = w->hides;
    op->list = list;
    memcpy(op->wants, w->wants, count);
    w->question.leaves_state = w->in_transaction;
    op->exchange = redis_exchange_start(
        g, &w->question, time_within(L, g->timeout), on_outcome, op);
    if (op->exchange == NULL) {
        op_free(op);
        return failure_push(L, FAILURE_OVERLOAD,
                            "redis %s: too many wait for a connection",
                            g->pool->server.name);
    }
    return await(L, op_cancel, op, &op->ticket);
}

/* --- commands --- */

/* Pushes what the command at hand is written into, which goes on top of the
 * arguments: `*pipeline` says whether it is sent with others. */
static struct redis_writing *
begin(lua_State *L, bool *pipeline)
{
    const struct redis_pipeline *p = luaL_testudata(L, 1, PIPELINE);

    *pipeline = p != NULL;
    if (p == NULL) {
        (void)check_group(L);
        return redis_writing_push(L);
    }
    if (p->writing == NULL)
        (void)luaL_error(L, "redis: this pipeline has been sent");
    lua_pushnil(L); /* in the place of a new one */
    return p->writing;
}

/* Ends what `begin` began: `count` words are on the top. */
static int
end(lua_State *L, struct redis_writing *w, bool pipeline, int count,
    enum redis_want want)
{
    redis_writing_add(L, w, lua_gettop(L) - count + 1, want);
    return pipeline ? 0 : ask(L, check_group(L), w, false);
}

/* `name` and the arguments from the second up to the last one. */
static int
send_all(lua_State *L, const char *name, enum redis_want want)
{
    int last = lua_gettop(L);
    bool pipeline;

    if (last < 2)
        return luaL_argerror(L, 2, "a key is expected");
    struct redis_writing *w = begin(L, &pipeline);
    luaL_checkstack(L, last, "redis");
    lua_pushstring(L, name);
    for (int i = 2; i <= last; i++)
        redis_push_word(L, i);
    return end(L, w, pipeline, last, want);
}

static int
redis_get(lua_State *L)
{
    lua_settop(L, 2);
    return send_all(L, "GET", REDIS_WANT_AS_IS);
}

static int
redis_del(lua_State *L)
{
    return send_all(L, "DEL", REDIS_WANT_AS_IS);
}

static int
redis_exists(lua_State *L)
{
    lua_settop(L, 2);
    return send_all(L, "EXISTS", REDIS_WANT_FLAG);
}

static int
redis_ttl(lua_State *L)
{
    lua_settop(L, 2);
    return send_all(L, "PTTL", REDIS_WANT_TTL);
}

static int
redis_incr(lua_State *L)
{
    lua_Number by = luaL_optnumber(L, 3, 1);

    if (by != floor(by) || fabs(by) > 9007199254740992.)
        return luaL_argerror(L, 3, "a whole number is expected");
    lua_settop(L, 2);
    lua_pushnumber(L, by);
    return send_all(L, "INCRBY", REDIS_WANT_AS_IS);
}

/* Seconds as milliseconds, which are at least one. */
static void
push_milliseconds(lua_State *L, double seconds, const char *what)
{
    if (!(seconds >= 0.001 && seconds <= 1e10))
        (void)luaL_error(L, "redis: %s: from 0.001 to 1e10 seconds", what);
    lua_pushnumber(L, floor(seconds * 1000. + 0.5));
}

static int
redis_expire(lua_State *L)
{
    double seconds = luaL_checknumber(L, 3);

    lua_settop(L, 2);
    push_milliseconds(L, seconds, "expire");
    return send_all(L, "PEXPIRE", REDIS_WANT_FLAG);
}

/* "absent" and "present", as Redis has them. */
static void
push_only(lua_State *L, const struct options *o)
{
    struct slice only = S("");

    if (!option_push(o, "only")) {
        lua_pop(L, 1);
        return;
    }
    only.ptr = lua_tolstring(L, -1, &only.len);
    bool absent = only.ptr != NULL && slice_equal(only, S("absent"));
    if (!absent && (only.ptr == NULL || !slice_equal(only, S("present"))))
        (void)luaL_error(L, "redis: set: only is \"absent\" or \"present\"");
    lua_pop(L, 1);
    lua_pushstring(L, absent ? "NX" : "XX");
}

static int
redis_set(lua_State *L)
{
    static const char *const names[] = {"ttl", "only", NULL};

    luaL_checkany(L, 3);
    lua_settop(L, 4);
    struct options o = options_check(L, 4, "redis: set", names);
    double ttl =
        option_number(&o, "ttl", (struct option_range){0, 0.001, 1e10});
    if (ttl > 0) {
        lua_pushliteral(L, "PX");
        push_milliseconds(L, ttl, "ttl");
    }
    push_only(L, &o);
    lua_remove(L, 4);
    return send_all(L, "SET", REDIS_WANT_DONE);
}

static int
redis_command(lua_State *L)
{
    int last = lua_gettop(L);
    bool pipeline;

    struct redis_writing *w = begin(L, &pipeline);
    luaL_checkstack(L, last, "redis");
    for (int i = 2; i <= last; i++)
        redis_push_word(L, i);
    redis_check_command(L, w, last + 2);
    return end(L, w, pipeline, last - 1, REDIS_WANT_AS_IS);
}

/* Pushes the members of the list at `index` as words; how many. */
static int
push_list(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    int count = (int)lua_objlen(L, index);
    luaL_checkstack(L, count + 8, "redis: too many words");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        redis_push_word(L, lua_gettop(L));
        lua_remove(L, -2);
    }
    return count;
}

/* Adds EVAL or EVALSHA: `script` is at the top, which is popped. */
static void
add_eval(lua_State *L, struct redis_writing *w, const char *name)
{
    int script = lua_gettop(L);

    lua_pushstring(L, name);
    lua_pushvalue(L, script);
    lua_pushnil(L); /* the count of keys */
    int keys = push_list(L, 3);
    lua_pushfstring(L, "%d", keys);
    lua_replace(L, script + 3);
    (void)push_list(L, 4);
    redis_writing_add(L, w, script + 1, REDIS_WANT_AS_IS);
    lua_pop(L, 1);
}

/* By the digest first; the whole script when the server does not know it.  In
 * a pipeline there is no second try. */
static int
redis_eval(lua_State *L)
{
    struct slice script;
    char hex[40];
    bool pipeline;

    script.ptr = luaL_checklstring(L, 2, &script.len);
    lua_settop(L, 4);
    struct redis_writing *w = begin(L, &pipeline);
    lua_pushvalue(L, 2);
    if (pipeline) {
        add_eval(L, w, "EVAL");
        return 0;
    }
    struct redis_writing *whole = redis_writing_push(L);
    lua_insert(L, -2);
    add_eval(L, whole, "EVAL");
    bool known = digest_sha1(script, hex);
    if (known) {
        lua_pushlstring(L, hex, sizeof hex);
        add_eval(L, w, "EVALSHA");
        w->question.fallback = whole->question.commands;
    } else {
        buf_deinit(&w->question.commands);
        w->question = whole->question;
    }
    buf_init(&whole->question.commands, 0);
    w->hides = whole->hides;
    memcpy(w->name, "EVAL", sizeof "EVAL");
    return ask(L, check_group(L), w, false);
}

/* --- pipelines --- */

/* The list of commands at the second argument, each a list of words. */
static void
read_commands(lua_State *L, struct redis_writing *w)
{
    int count = (int)lua_objlen(L, 2);

    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, i);
        int list = lua_gettop(L);
        if (!lua_istable(L, list))
            (void)luaL_error(L, "redis: pipeline: a command is a list");
        int words = push_list(L, list);
        redis_check_command(L, w, list + 1);
        redis_writing_add(L, w, lua_gettop(L) - words + 1, REDIS_WANT_AS_IS);
        lua_pop(L, 1);
    }
}

/* What the function at the second argument writes down; it can't wait. */
static void
record_commands(lua_State *L, struct redis_writing *w)
{
    struct redis_pipeline *p = lua_newuserdata(L, sizeof *p);

    p->writing = w;
    luaL_getmetatable(L, PIPELINE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    int failed = lua_pcall(L, 1, 0, 0);
    p->writing = NULL;
    if (failed != 0)
        (void)lua_error(L);
    lua_pop(L, 1);
}

static int
redis_pipeline(lua_State *L)
{
    struct redis_group *g = check_group(L);

    lua_settop(L, 2);
    struct redis_writing *w = redis_writing_push(L);
    if (lua_isfunction(L, 2))
        record_commands(L, w);
    else if (lua_istable(L, 2))
        read_commands(L, w);
    else
        return luaL_argerror(L, 2, "a function or a list is expected");
    if (w->question.count > 0)
        return ask(L, g, w, true);
    lua_newtable(L);
    return 1;
}

/* --- the module --- */

static int
pool_subscribe(lua_State *L)
{
    return redis_subscribe(L, check_group(L));
}

static int
pool_gc(lua_State *L)
{
    struct redis_handle *self = luaL_checkudata(L, 1, POOL);

    redis_group_unref(self->group);
    self->group = NULL;
    return 0;
}

static int
redis_pool(lua_State *L)
{
    const struct vm *vm = vm_of(L);

    lua_settop(L, 1);
    if (vm->host == NULL || vm->host->lasting == NULL)
        return luaL_error(L, "redis.pool: there is no gateway");
    struct redis_handle *self = lua_newuserdata(L, sizeof *self);
    self->group = NULL;
    luaL_getmetatable(L, POOL);
    lua_setmetatable(L, -2);
    self->group =
        redis_group_new(vm->generation != NULL ? vm->generation->config : NULL);
    redis_options_read(L, 1, self->group);
    return 1;
}

static const luaL_Reg commands[] = {
    {"get", redis_get},         {"set", redis_set},
    {"del", redis_del},         {"incr", redis_incr},
    {"expire", redis_expire},   {"ttl", redis_ttl},
    {"exists", redis_exists},   {"eval", redis_eval},
    {"command", redis_command}, {NULL, NULL},
};

static void
make_type(lua_State *L, const char *name, const luaL_Reg *others,
          lua_CFunction gc)
{
    if (luaL_newmetatable(L, name) != 0) {
        lua_newtable(L);
        luaL_register(L, NULL, commands);
        luaL_register(L, NULL, others);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    if (gc != NULL) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
}

int
mod_redis_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pool", redis_pool}, {NULL, NULL}};
    static const luaL_Reg whole[] = {{"pipeline", redis_pipeline},
                                     {"subscribe", pool_subscribe},
                                     {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};

    make_type(L, POOL, whole, pool_gc);
    make_type(L, PIPELINE, none, NULL);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
