#include "lua/redis_subscription.h"

#include "base/log.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/redis_command.h"
#include "lua/redis_link.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

#define METATABLE    "moongate.redis.subscription"
#define CHANNELS_MAX 100
#define WAITING_MAX  1000 /* messages */
#define LINK_SECONDS 10.
#define PING_SECONDS 30.
#define RETRY_FIRST  0.1
#define RETRY_MAX    5.

struct message {
    struct list link;
    struct redis_reply *reply;
};

struct redis_subscription {
    struct list link;          /* in vm->subscriptions; in none once over */
    struct redis_group *group; /* a reference; NULL once it is over */
    struct ev_loop *loop;
    lua_State *L; /* the main thread */
    int self_ref, body_ref;
    struct buf commands; /* that subscribe */
    struct redis_link *linking;
    struct redis_conn *conn;
    ev_timer retry;
    ev_timer ping;
    bool pinged;          /* no answer yet */
    double pause;         /* before the next attempt */
    struct list messages; /* waiting */
    size_t count, dropped;
    ev_timer turn; /* gives out the next one; while one is worked on, the end
                       of that one's time */
    double budget;
};

static void connect_now(struct redis_subscription *s);

static void
forget_messages(struct redis_subscription *s)
{
    struct list *next;

    for (struct list *l = s->messages.next; l != &s->messages; l = next) {
        struct message *m = container_of(l, struct message, link);
        next = l->next;
        redis_reply_free(m->reply);
        free(m);
    }
    list_init(&s->messages);
    s->count = 0;
}

static void
disconnect(struct redis_subscription *s)
{
    redis_link_cancel(s->linking);
    redis_conn_close(s->conn);
    s->linking = NULL;
    s->conn = NULL;
    ev_timer_stop(s->loop, &s->ping);
}

/* All that is not in Lua's registry. */
static void
shut(struct redis_subscription *s)
{
    if (s->group == NULL)
        return;
    disconnect(s);
    ev_timer_stop(s->loop, &s->retry);
    ev_timer_stop(s->loop, &s->turn);
    forget_messages(s);
    list_remove(&s->link);
    buf_deinit(&s->commands);
    redis_group_unref(s->group);
    s->group = NULL;
}

static void
subscription_end(struct redis_subscription *s)
{
    shut(s);
    luaL_unref(s->L, LUA_REGISTRYINDEX, s->body_ref);
    luaL_unref(s->L, LUA_REGISTRYINDEX, s->self_ref);
    s->body_ref = s->self_ref = LUA_NOREF;
}

/* --- messages --- */

static void
set_turn(struct redis_subscription *s, double seconds)
{
    ev_timer_stop(s->loop, &s->turn);
    ev_timer_set(&s->turn, seconds, 0.);
    ev_timer_start(s->loop, &s->turn);
}

/* [message, channel, text] or [pmessage, pattern, channel, text]. */
static void
call_body(struct redis_subscription *s, const struct redis_reply *r)
{
    lua_State *L = s->L;

    lua_rawgeti(L, LUA_REGISTRYINDEX, s->body_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->self_ref);
    for (size_t i = r->count - 2; i < r->count; i++)
        lua_pushlstring(L, r->elements[i]->text.ptr, r->elements[i]->text.len);
    set_turn(s, s->budget);
    call_spawn(L, "redis subscription", 3, s->budget);
}

static void
on_turn(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redis_subscription *s =
        container_of(w, struct redis_subscription, turn);

    (void)loop;
    (void)events;
    if (list_is_empty(&s->messages))
        return;
    struct message *m = container_of(s->messages.next, struct message, link);
    list_remove(&m->link);
    s->count--;
    call_body(s, m->reply);
    redis_reply_free(m->reply);
    free(m);
}

/* Called by the body's wrapper when it ends, in whatever way. */
static int
body_ended(lua_State *L)
{
    struct redis_subscription *s = luaL_checkudata(L, 1, METATABLE);

    if (s->group != NULL)
        set_turn(s, 0.);
    return 0;
}

static void
keep_message(struct redis_subscription *s, struct redis_reply *reply)
{
    if (s->count == WAITING_MAX) {
        if (s->dropped++ == 0)
            log_warn("redis %s: messages are dropped, since %d wait",
                     s->group->pool->server.name, WAITING_MAX);
        redis_reply_free(reply);
        return;
    }
    struct message *m = xcalloc(1, sizeof *m);
    m->reply = reply;
    s->count++;
    list_append(&s->messages, &m->link);
    if (!ev_is_active(&s->turn))
        set_turn(s, 0.);
}

/* --- the connection --- */

static void
retry_later(struct redis_subscription *s)
{
    disconnect(s);
    s->retry.repeat = s->pause;
    ev_timer_again(s->loop, &s->retry);
    s->pause = s->pause * 2 < RETRY_MAX ? s->pause * 2 : RETRY_MAX;
}

static void
on_lost(void *arg, enum failure kind, const char *text)
{
    struct redis_subscription *s = arg;

    (void)kind;
    redis_pool_forget_master(s->group->pool);
    redis_pool_log_failure(s->group->pool, text);
    retry_later(s);
}

static bool
is_message(const struct redis_reply *r)
{
    if (r->kind != REDIS_LIST || r->count < 3)
        return false;
    struct slice what = r->elements[0]->text;
    return slice_equal(what, S("message")) ||
           (r->count == 4 && slice_equal(what, S("pmessage")));
}

static bool
on_reply(void *arg, struct redis_reply *reply)
{
    struct redis_subscription *s = arg;

    s->pinged = false; /* whatever it says, it lives */
    if (is_message(reply)) {
        keep_message(s, reply);
        return true;
    }
    bool refused = reply->kind == REDIS_ERROR;
    if (refused) {
        char text[256];
        (void)log_escape(reply->text, text, sizeof text);
        redis_pool_log_failure(s->group->pool, text);
    }
    redis_reply_free(reply);
    if (!refused) {
        s->pause = RETRY_FIRST;
        return true;
    }
    retry_later(s);
    return false;
}

static void
on_linked(void *arg, struct redis_conn *conn, enum failure kind,
          const char *text)
{
    struct redis_subscription *s = arg;

    (void)kind;
    (void)text;
    s->linking = NULL;
    if (conn == NULL) {
        retry_later(s);
        return;
    }
    s->conn = conn;
    s->pinged = false;
    redis_conn_use(conn, on_reply, on_lost, s);
    bool ok = buf_append(&conn->out, buf_bytes(&s->commands));
    require(ok); /* it is bounded */
    redis_conn_flush(conn);
    s->ping.repeat = PING_SECONDS;
    ev_timer_again(s->loop, &s->ping);
}

static void
on_ping(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redis_subscription *s =
        container_of(w, struct redis_subscription, ping);
    struct slice words[] = {S("PING")};

    (void)loop;
    (void)events;
    if (s->pinged || !redis_put_command(&s->conn->out, words, 1)) {
        on_lost(s, FAILURE_TIMEOUT, "a subscription has no answer");
        return;
    }
    s->pinged = true;
    redis_conn_flush(s->conn);
}

static void
connect_now(struct redis_subscription *s)
{
    s->linking = redis_link_start(s->group, LINK_SECONDS, on_linked, s);
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redis_subscription *s =
        container_of(w, struct redis_subscription, retry);

    (void)events;
    ev_timer_stop(loop, w);
    connect_now(s);
}

/* --- towards Lua --- */

static int
subscription_cancel(lua_State *L)
{
    subscription_end(luaL_checkudata(L, 1, METATABLE));
    return 0;
}

/* The state is closing: its registry is gone. */
static int
subscription_gc(lua_State *L)
{
    shut(luaL_checkudata(L, 1, METATABLE));
    return 0;
}

/* Pushes the function that runs the body at `index` and then tells the
 * subscription.  Written in Lua, because the body may wait. */
static void
push_wrapper(lua_State *L, int index)
{
    static const char text[] =
        "local body, ended, pcall, error = ...\n"
        "return function(subscription, channel, message)\n"
        "  local ok, err = pcall(body, channel, message)\n"
        "  ended(subscription)\n"
        "  if not ok then error(err, 0) end\n"
        "end\n";

    if (luaL_loadbuffer(L, text, sizeof text - 1, "=moongate.redis") != 0)
        (void)lua_error(L);
    lua_pushvalue(L, index);
    lua_pushcfunction(L, body_ended);
    lua_getglobal(L, "pcall");
    lua_getglobal(L, "error");
    lua_call(L, 4, 1);
}

/* Writes SUBSCRIBE or PSUBSCRIBE with the channels at `index`: one or a list. */
static void
write_channels(lua_State *L, int index, bool patterns, struct redis_writing *w)
{
    int first = lua_gettop(L) + 1;

    lua_pushstring(L, patterns ? "PSUBSCRIBE" : "SUBSCRIBE");
    if (lua_istable(L, index)) {
        size_t count = lua_objlen(L, index);
        if (count == 0 || count > CHANNELS_MAX)
            (void)luaL_error(L, "redis: subscribe: 1 to %d channels",
                             CHANNELS_MAX);
        luaL_checkstack(L, (int)count + 8, "redis");
        for (int i = 1; i <= (int)count; i++) {
            lua_rawgeti(L, index, i);
            redis_push_word(L, lua_gettop(L));
            lua_remove(L, -2);
        }
    } else {
        redis_push_word(L, index);
    }
    redis_writing_add(L, w, first, REDIS_WANT_AS_IS);
}

int
redis_subscribe(lua_State *L, struct redis_group *g)
{
    static const char *const names[] = {"patterns", "budget", NULL};
    static const luaL_Reg methods[] = {{"cancel", subscription_cancel},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", subscription_gc}, {NULL, NULL}};
    struct vm *vm = vm_of(L);

    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 4);
    struct options o = options_check(L, 4, "redis: subscribe", names);
    bool patterns = option_bool(&o, "patterns", false);
    double budget =
        option_number(&o, "budget", (struct option_range){10, 0.01, 3600});
    struct redis_writing *w = redis_writing_push(L);
    write_channels(L, 2, patterns, w);

    struct redis_subscription *s = lua_newuserdata(L, sizeof *s);
    *s = (struct redis_subscription){.loop = g->pool->loop,
                                     .L = vm->L,
                                     .self_ref = LUA_NOREF,
                                     .body_ref = LUA_NOREF,
                                     .pause = RETRY_FIRST,
                                     .budget = budget};
    list_init(&s->link);
    list_init(&s->messages);
    ev_init(&s->retry, on_retry);
    ev_init(&s->ping, on_ping);
    ev_init(&s->turn, on_turn);
    object_set_type(L, METATABLE, events, methods);
    push_wrapper(L, 3);
    s->body_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    s->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    s->commands = w->question.commands;
    buf_init(&w->question.commands, 0);
    s->group = redis_group_ref(g);
    list_append(&vm->subscriptions, &s->link);
    if (vm->serving)
        connect_now(s);
    return 1;
}

static struct redis_subscription *
subscription_of(struct list *link)
{
    return container_of(link, struct redis_subscription, link);
}

void
redis_subscriptions_start(struct vm *vm)
{
    for (struct list *l = vm->subscriptions.next; l != &vm->subscriptions;
         l = l->next)
        connect_now(subscription_of(l));
}

void
redis_subscriptions_stop(struct vm *vm)
{
    while (!list_is_empty(&vm->subscriptions))
        subscription_end(subscription_of(vm->subscriptions.next));
}
