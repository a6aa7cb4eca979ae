/* mod_auth_http.c -- `moongate.auth_http`: new{...} gives check(session,
 * credentials), which asks an auth server in nginx's protocol and returns a
 * decision; check(session, rcpt) asks about a recipient without AUTH. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/auth_options.h"
#include "lua/auth_reply.h"
#include "lua/auth_request.h"
#include "lua/await.h"
#include "lua/decision.h"
#include "lua/generation.h"
#include "lua/module.h"
#include "lua/native_hook.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define METATABLE "moongate.auth_http"
#define DELAY_MAX 60. /* of a decision */

/* The userdata. */
struct auth_check {
    struct native_hook native;
    struct auth_group *group;
};

struct check_op {
    struct ticket ticket;
    struct auth_exchange *exchange;
    lua_State *L; /* the main thread: decisions are made there, protected;
                     NULL: no coroutine waits */
    bool needs_password; /* the client's own is not known */
    bool logs_in;        /* at the upstream */
};

/* What a decision is made of, as the argument of `make`. */
struct making {
    const struct check_op *op;
    const struct auth_outcome *outcome;
    struct auth_answer answer;
};

static void
take_text(lua_State *L, struct decision *d, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    decision_take(L, d, name);
}

static void
make_tempfail(lua_State *L, const char *server, const char *problem)
{
    struct decision *d = decision_begin(L, VERDICT_TEMPFAIL);

    (void)lua_pushfstring(L, "auth_http %s: %s", server, problem);
    decision_take(L, d, "log");
    decision_end(L);
}

static void
take_delay(lua_State *L, struct decision *d, const char *name, double seconds)
{
    lua_pushnumber(L, seconds < DELAY_MAX ? seconds : DELAY_MAX);
    decision_take(L, d, name);
}

/* How nginx refuses: after Auth-Wait the client may try again; without it the
 * session is over. */
static void
make_reject(lua_State *L, const struct auth_answer *a)
{
    struct decision *d = decision_begin(L, VERDICT_REJECT);

    take_text(L, d, "text", slice_of(a->text));
    take_text(L, d, "log", slice_of(a->text));
    take_text(L, d, "code", a->code);
    take_text(L, d, "sasl", (struct slice){a->sasl, a->sasl_len});
    take_delay(L, d, "delay", a->wait);
    lua_pushboolean(L, a->wait <= 0);
    decision_take(L, d, "close");
    decision_end(L);
}

static void
make_wait(lua_State *L, const struct auth_answer *a)
{
    struct decision *d = decision_begin(L, VERDICT_WAIT);

    take_delay(L, d, "seconds", a->wait > 0 ? a->wait : 1);
    decision_end(L);
}

/* "host:port": TLS is as the listener's `upstream_tls` says. */
static void
push_place(lua_State *L, const struct auth_answer *a)
{
    bool v6 = slice_find(a->server, ':') < a->server.len;

    lua_pushlstring(L, a->server.ptr, a->server.len);
    (void)lua_pushfstring(L, v6 ? "[%s]:%d" : "%s:%d", lua_tostring(L, -1),
                          (int)a->port);
    lua_remove(L, -2);
}

/* As what the upstream is told that it is. */
static void
push_login(lua_State *L, const struct auth_answer *a, bool logs_in)
{
    struct decision *d = decision_begin(L, VERDICT_LOGIN);

    d->has_login = true;
    take_text(L, d, "user", a->user);
    if (logs_in) {
        secret_push(L, a->password.bytes);
        decision_take(L, d, "password");
    } else {
        lua_pushboolean(L, true);
        decision_take(L, d, "none");
    }
    decision_end(L);
}

static void
make_accept(lua_State *L, const struct auth_answer *a, bool logs_in)
{
    struct decision *d = decision_begin(L, VERDICT_ACCEPT);

    take_text(L, d, "user", a->user);
    push_place(L, a);
    decision_take(L, d, "upstream");
    if (!logs_in || a->has_password) {
        push_login(L, a, logs_in);
        decision_take(L, d, "upstream_auth");
    }
    decision_end(L);
}

static void
make_answer(lua_State *L, struct making *m)
{
    struct auth_answer *a = &m->answer;

    auth_reply_read(m->outcome->reply, a);
    if (a->verdict == AUTH_OK && m->op->needs_password && !a->has_password) {
        a->verdict = AUTH_INVALID;
        a->problem = "no Auth-Pass, which this mechanism needs";
    }
    switch (a->verdict) {
    case AUTH_OK:
        make_accept(L, a, m->op->logs_in);
        return;
    case AUTH_REFUSED:
        make_reject(L, a);
        return;
    case AUTH_WAIT:
        make_wait(L, a);
        return;
    case AUTH_INVALID:
        break;
    }
    make_tempfail(L, m->outcome->server, a->problem);
}

static int
make(lua_State *L)
{
    struct making *m = lua_touserdata(L, 1);

    if (m->outcome->reply != NULL)
        make_answer(L, m);
    else
        make_tempfail(L, m->outcome->server, m->outcome->text);
    return 1;
}

/* A decision that can't be made is a temporary failure, and no mistake of the
 * policy. */
static int
decide(lua_State *L)
{
    lua_pushcfunction(L, make);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) == 0)
        return 1;
    lua_settop(L, 0); /* its options: none */
    return decision_tempfail(L);
}

/* Pushes the decision on `to`; none where even that failed.  It is made on the
 * main thread, protected. */
static void
push_decision(struct making *m, lua_State *to)
{
    lua_State *L = m->op->L;

    lua_pushcfunction(L, decide);
    lua_pushlightuserdata(L, m);
    if (lua_pcall(L, 1, 1, 0) != 0) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_xmove(L, to, 1);
}

static void
resume(struct ticket ticket, struct making *m)
{
    const struct auth_outcome *outcome = m->outcome;
    lua_State *L = await_done(&ticket);

    if (L == NULL)
        return;
    push_decision(m, L);
    if (outcome->reply != NULL)
        await_outcome(&ticket, "%s %u", outcome->server,
                      outcome->reply->status);
    else
        await_outcome(&ticket, "%s: %s", outcome->server, outcome->text);
    await_resume(&ticket, 1);
}

static void
on_outcome(void *arg, const struct auth_outcome *outcome)
{
    struct check_op op = *(struct check_op *)arg;
    struct making m = {.op = &op, .outcome = outcome};

    free(arg);
    if (op.L == NULL)
        call_answer(op.ticket, decide, &m);
    else
        resume(op.ticket, &m);
}

static void
check_cancel(void *arg)
{
    struct check_op *op = arg;

    auth_exchange_cancel(op->exchange);
    free(op);
}

static struct auth_check *
check_self(lua_State *L)
{
    return luaL_checkudata(L, 1, METATABLE);
}

static bool
speaks_smtp(const struct session *s)
{
    return strcmp(s->listener->proto->name, "smtp") == 0;
}

/* Only IMAP and POP3 must log in upstream; nginx asks for no more. */
static bool
needs_password(const struct session *s, const struct credentials *c)
{
    if (c == NULL || speaks_smtp(s))
        return false;
    return c->mechanism == MECHANISM_CRAM_MD5 ||
           c->mechanism == MECHANISM_APOP ||
           c->mechanism == MECHANISM_EXTERNAL ||
           mechanism_is_scram(c->mechanism);
}

/* NULL and `*problem` when the question can't be put. */
static struct check_op *
ask(struct auth_group *g, struct session *s, const struct credentials *c,
    double seconds, const char **problem)
{
    struct buf fields;

    buf_init(&fields, AUTH_REQUEST_MAX);
    if (!auth_request_fields(&fields, s, c, g, problem)) {
        buf_deinit(&fields);
        return NULL;
    }
    struct check_op *op = xcalloc(1, sizeof *op);
    op->needs_password = needs_password(s, c);
    op->logs_in = g->smtp_login || !speaks_smtp(s);
    op->exchange = auth_exchange_start(g, &fields, seconds, on_outcome, op);
    return op;
}

/* As a function of Lua: the argument is what is wrong with the request. */
static int
make_refusal(lua_State *L)
{
    make_tempfail(L, "request", lua_touserdata(L, 1));
    return 1;
}

static int
group_call(lua_State *L)
{
    struct auth_group *g = check_self(L)->group;
    struct session *s = object_session(L, 2);
    const struct credentials *c = NULL;
    const char *problem;

    if (object_test(L, 3, OBJECT_CREDENTIALS) != NULL)
        c = object_credentials(L, 3);
    if (s->login == NULL ||
        (c == NULL && s->login->dialog.envelope.rcpt.len == 0))
        return luaL_argerror(L, 3, "credentials or a recipient expected");
    (void)host_or_raise(L);
    int known = await_known(L, "auth_http");
    if (known >= 0)
        return known;
    struct check_op *op = ask(g, s, c, await_time_left(L), &problem);
    if (op == NULL) {
        make_tempfail(L, "request", problem);
        return 1;
    }
    op->L = vm_of(L)->L;
    return await(L, check_cancel, op, &op->ticket);
}

/* The same without Lua. */
static enum call_end
native_ask(struct native_hook *n, struct session *s, enum hook hook,
           struct call *call)
{
    struct auth_check *self = container_of(n, struct auth_check, native);
    const struct credentials *c =
        hook == HOOK_AUTH ? &s->login->dialog.credentials : NULL;
    const char *problem;
    struct check_op *op =
        ask(self->group, s, c, call_time_left(call), &problem);

    if (op == NULL) {
        call_set_answer(call, make_refusal, (void *)(uintptr_t)problem);
        return CALL_RETURNED;
    }
    op->ticket = call_wait(call, check_cancel, op);
    return CALL_WAITS;
}

static int
group_gc(lua_State *L)
{
    struct auth_check *self = check_self(L);

    auth_group_unref(self->group);
    self->group = NULL;
    return 0;
}

static int
auth_http_new(lua_State *L)
{
    lua_settop(L, 1);
    struct auth_check *self = lua_newuserdata(L, sizeof(*self));
    *self = (struct auth_check){.native.ask = native_ask};
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    self->group = auth_group_new(vm_of(L)->host->lasting);
    if (vm_of(L)->generation != NULL)
        self->group->tls.config = vm_of(L)->generation->config;
    auth_options_read(L, 1, self->group);
    lua_settop(L, 2);
    return 1;
}

int
mod_auth_http_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", auth_http_new}, {NULL, NULL}};

    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, group_call);
        lua_setfield(L, -2, "__call");
        lua_pushcfunction(L, group_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        native_hook_mark(L);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
