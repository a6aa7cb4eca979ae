#include "lua/hook_run.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"
#include "lua/hook_count.h"
#include "lua/native_hook.h"
#include "lua/session_object.h"
#include "lua/shadow.h"
#include "lua/trace.h"
#include "lua/vars.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLOSED_TIMEOUT 5.
#define SHADOW_CPU     0.1 /* seconds of a whole call */

#define MAY(kind) (1u << (VERDICT_##kind))

/* What each hook may decide. */
static const unsigned allowed[HOOK_COUNT] = {
    [HOOK_CERTIFICATE] = MAY(CERTIFICATE) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_CONNECT] = MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_SECURED] = MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_HELO] = MAY(ACCEPT) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_MAIL] = MAY(ACCEPT) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_RCPT] = MAY(ACCEPT) | MAY(REJECT) | MAY(TEMPFAIL) | MAY(WAIT),
    [HOOK_VERIFIER] = MAY(VERIFIER) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_AUTH] = MAY(ACCEPT) | MAY(REJECT) | MAY(TEMPFAIL) | MAY(WAIT),
    [HOOK_ROUTE] = MAY(TO) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_CONNECT_FAILED] = MAY(RETRY) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_UPSTREAM_AUTH] = MAY(LOGIN) | MAY(REJECT) | MAY(TEMPFAIL),
    [HOOK_UPSTREAM_REFUSED] = MAY(RETRY) | MAY(REJECT) | MAY(TEMPFAIL),
};

bool
hook_may(enum hook hook, enum verdict_kind kind)
{
    return (allowed[hook] & (1u << (unsigned)kind)) != 0;
}

/* The policy that was asked last. */
static const struct loaded_policy *
asked(const struct hook_run *run)
{
    return run->chain->policies[run->next - 1];
}

static double
monotonic(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void
expire_objects(struct hook_run *run)
{
    lua_State *L = run->generation->vm->L;

    lua_rawgeti(L, LUA_REGISTRYINDEX, run->objects);
    hook_expire_objects(L);
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, run->objects);
}

/* The hook is over: its objects are useless from now on, its secrets wiped. */
static void
run_free(struct hook_run *run)
{
    if (run->shadow == NULL)
        hook_count_seconds(run->generation, (int)run->hook,
                           monotonic() - run->began);
    if (run->objects != LUA_NOREF)
        expire_objects(run);
    trace_hook_cancelled(run->call, run->session);
    call_free(run->call);
    if (run->is_notification)
        session_snapshot_free(run->session);
    else
        run->session->call = NULL;
    free(run);
}

static void
deliver(struct hook_run *run)
{
    struct session *s = run->session;
    void (*tell)(struct session *) =
        run->shadow != NULL ? run->shadow : run->generation->deliver;
    bool later = !run->is_asking && !run->is_notification;

    if (!run->is_notification)
        s->generation = run->generation->number;
    if (!run->is_notification && run->shadow == NULL) {
        hook_count_verdict(run->generation, run->hook, &s->login->verdict);
        shadow_follow(run->generation, s, run->hook);
    }
    run_free(run);
    if (later)
        tell(s);
}

static struct verdict
bug_verdict(void)
{
    return (struct verdict){
        .kind = VERDICT_TEMPFAIL,
        .refusal.reason = REASON_UNAVAILABLE,
        .bug = true,
        .log = S("the policy failed; see the log"),
    };
}

/* The policy is broken: says where, and fails for the moment. */
static void
fail(struct hook_run *run, const char *what)
{
    const struct loaded_policy *p = asked(run);

    if (run->shadow == NULL)
        hook_count_error(run->generation, (int)run->hook, p);
    log_error("session %s: %s:%d: policy \"%s\", hook \"%s\": %s",
              run->session->id, p->path, p->lines[run->hook], p->name,
              hook_name(run->hook), what);
    trace_hook_failed(run->call, run->session, what);
    if (!run->is_notification)
        run->session->login->verdict = bug_verdict();
}

static void
time_out(struct hook_run *run)
{
    const struct loaded_policy *p = asked(run);

    if (run->shadow == NULL)
        hook_count_timeout(run->generation, (int)run->hook, p);
    log_error("session %s: %s:%d: policy \"%s\", hook \"%s\": no answer in "
              "time, cancelled",
              run->session->id, p->path, p->lines[run->hook], p->name,
              hook_name(run->hook));
    trace_hook_failed(run->call, run->session, "no answer in time");
    if (run->is_notification)
        return;
    run->session->login->verdict = (struct verdict){
        .kind = VERDICT_TEMPFAIL,
        .refusal.reason = REASON_UNAVAILABLE,
        .log = S("timeout"),
    };
}

/* --- taking results: protected, on the main thread --- */

static void
set_vars(lua_State *L, struct session *s)
{
    int table = lua_gettop(L);

    if (s->record.vars == NULL)
        s->record.vars = vars_new();
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        vars_set(s->record.vars, L, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* A session may have begun with another configuration than the decision. */
static void
refuse_unknown_pool(lua_State *L, const struct session *s,
                    const struct target *t)
{
    if (t->pool.len > 0 && config_pool(s->config, t->pool) == NULL)
        luaL_error(L, "`pools` has no \"%s\"", t->pool.ptr);
}

static void
refuse_other_hash(lua_State *L, const struct session *s,
                  const struct verdict *v)
{
    enum mechanism m = s->login->dialog.credentials.mechanism;

    if (v->kind == VERDICT_VERIFIER && v->verifier->hash != mechanism_hash(m))
        luaL_error(L, "the verifier is of %s, the client wants %s",
                   scram_hash_name(v->verifier->hash),
                   scram_hash_name(mechanism_hash(m)));
}

static int
take_decision(lua_State *L, struct hook_run *run, const struct decision *d)
{
    struct session *s = run->session;
    struct verdict v = {.kind = VERDICT_NONE};

    if (!hook_may(run->hook, d->kind))
        return luaL_error(L, "%s is no answer of this hook",
                          decision_name(d->kind));
    if (!decision_fill(L, 1, s, &v) ||
        !arena_copy(&s->login->arena, slice_of(asked(run)->name), &v.policy))
        return luaL_error(
            L, "the decision is too long, or its password was wiped");
    if (v.kind == VERDICT_CERTIFICATE && v.identity == NULL)
        return luaL_error(L, "`certificates` has no \"%s\"",
                          d->certificate.ptr);
    refuse_other_hash(L, s, &v);
    refuse_unknown_pool(L, s, &v.target);
    refuse_unknown_pool(L, s, &v.fallback);
    if (lua_istable(L, -1))
        set_vars(L, s);
    s->login->verdict = v;
    trace_hook_where(run->call, d->where);
    return 0;
}

/* Moves what the hook has answered onto the empty stack; how many values. */
static int
push_results(lua_State *L, struct call *c)
{
    lua_State *thread = c->thread;

    if (c->answer != NULL) {
        lua_pushcfunction(L, c->answer);
        lua_pushlightuserdata(L, c->op);
        lua_call(L, 1, 1);
        return 1;
    }
    int count = lua_gettop(thread);
    luaL_checkstack(L, count, "results");
    lua_xmove(thread, L, count);
    return count;
}

/* The results of a hook: nothing or nil (the next policy decides), or exactly
 * one decision.  Anything else is a mistake, above all a value that is true
 * although nobody was admitted. */
static int
take_results(lua_State *L)
{
    struct hook_run *run = lua_touserdata(L, 1);

    lua_settop(L, 0);
    int count = push_results(L, run->call);
    for (int i = 2; i <= count; i++) {
        if (!lua_isnil(L, i))
            return luaL_error(L,
                              "one decision expected, but more was returned");
    }
    lua_settop(L, 1);
    if (lua_isnil(L, 1))
        return 0;
    const struct decision *d = decision_test(L, 1);
    if (d == NULL)
        return luaL_error(L, "a decision or nil expected, not a %s",
                          luaL_typename(L, 1));
    return take_decision(L, run, d);
}

/* True when the chain goes on: no opinion. */
static bool
settle_returned(struct hook_run *run)
{
    lua_State *L = run->generation->vm->L;

    if (run->is_notification) {
        call_release(run->call, true);
        trace_hook_decided(run->call, run->session, NULL);
        return true;
    }
    int status = lua_cpcall(L, take_results, run);
    run->call->answer = NULL;
    call_release(run->call, true);
    if (status == 0) {
        const struct verdict *v = &run->session->login->verdict;
        trace_hook_decided(run->call, run->session, v);
        return v->kind == VERDICT_PENDING;
    }
    fail(run, lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
}

/* --- the chain --- */

/* True when the next policy is to be asked. */
static bool
settle(struct hook_run *run, enum call_end end)
{
    switch (end) {
    case CALL_RETURNED:
        return settle_returned(run);
    case CALL_FAILED:
        fail(run, run->call->error);
        return run->is_notification;
    case CALL_TIMEOUT:
        time_out(run);
        return false;
    case CALL_WAITS:
        break;
    }
    unreachable();
}

/* The objects that its functions are called with; `s`: the session itself. */
static void
make_objects(struct hook_run *run, const struct session *s)
{
    lua_State *L = run->generation->vm->L;

    hook_push_objects(L, run, &run->object_count);
    if (run->hook == HOOK_CLOSED || run->hook == HOOK_REFUSED) {
        if (run->hook == HOOK_CLOSED)
            summary_push(L, s);
        else
            refused_push(L, s);
        lua_rawseti(L, -2, ++run->object_count);
    }
    run->objects = luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum call_end
start_coroutine(struct hook_run *run, const struct loaded_policy *p)
{
    if (run->objects == LUA_NOREF)
        make_objects(run, run->session);
    lua_State *thread = call_thread(run->call);
    int count = run->object_count;

    lua_rawgeti(thread, LUA_REGISTRYINDEX, p->hooks[run->hook]);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, run->objects);
    int table = lua_gettop(thread);
    for (int i = 1; i <= count; i++)
        lua_rawgeti(thread, table, i);
    lua_remove(thread, table);
    return call_start(run->call, count);
}

static bool
is_followed(const struct hook_run *run)
{
    return run->call->trace != NULL || run->generation->vm->replays;
}

static enum call_end
start(struct hook_run *run, const struct loaded_policy *p)
{
    struct native_hook *native = p->natives[run->hook];

    run->call->policy = p->name;
    if (trace_is_on())
        trace_hook_begin(run->call, run->session, p, (int)run->hook);
    if (native != NULL && !is_followed(run))
        return native->ask(native, run->session, run->hook, run->call);
    return start_coroutine(run, p);
}

/* Nobody had an opinion. */
static void
end_of_chain(struct hook_run *run)
{
    struct session *s = run->session;

    if (run->is_notification)
        return;
    s->login->verdict = (struct verdict){.kind = VERDICT_NONE};
    if ((run->hook != HOOK_AUTH && run->hook != HOOK_VERIFIER) ||
        run->next == 0)
        return;
    const struct loaded_policy *p = asked(run);
    log_error("session %s: %s:%d: policy \"%s\" is the end of the chain of "
              "listener \"%.*s\" and did not decide",
              s->id, p->path, p->lines[run->hook], p->name,
              (int)s->listener->name.len, s->listener->name.ptr);
    s->login->verdict = bug_verdict();
}

/* Asks one policy after the other.  True when one waits; else the verdict is
 * delivered and the run is gone. */
static bool
advance(struct hook_run *run)
{
    const struct loaded_policy *p;

    while ((p = chain_next(run->chain, (int)run->hook, &run->next)) != NULL) {
        enum call_end end = start(run, p);
        if (end == CALL_WAITS)
            return true;
        if (!settle(run, end)) {
            deliver(run);
            return false;
        }
    }
    /* `asked` means the last that has the hook. */
    while (run->next > 1 && asked(run)->hooks[run->hook] == LUA_NOREF)
        run->next--;
    end_of_chain(run);
    deliver(run);
    return false;
}

static void
finished(struct call *c, enum call_end end)
{
    struct hook_run *run = c->arg;

    if (settle(run, end))
        (void)advance(run);
    else
        deliver(run);
}

bool
hook_is_notification(enum hook hook)
{
    return hook == HOOK_REFUSED || hook == HOOK_SPLICED || hook == HOOK_CLOSED;
}

/* Passwords that must not show up in an error or a log line. */
static void
hide_credentials(struct hook_run *run)
{
    const struct dialog *d = &run->session->login->dialog;

    run->call->redact[0] = d->credentials.password.bytes;
    run->call->redact[1] = d->login.password.bytes;
}

static void
refuse_overload(struct session *s)
{
    s->login->verdict = (struct verdict){
        .kind = VERDICT_TEMPFAIL,
        .refusal.reason = REASON_UNAVAILABLE,
        .log = S("too many hooks run already"),
    };
}

static struct hook_run *
run_new(struct generation *g, const struct session *s, enum hook hook,
        struct call *call)
{
    struct hook_run *run = xcalloc(1, sizeof *run);

    run->generation = g;
    run->began = monotonic();
    run->hook = hook;
    run->chain = generation_chain(g, s->listener);
    run->call = call;
    run->objects = LUA_NOREF;
    call->arg = run;
    return run;
}

/* The verdict of `run` is waited for. */
static void
expect(struct hook_run *run, struct session *s)
{
    hide_credentials(run);
    s->call = run;
    s->login->verdict = (struct verdict){.kind = VERDICT_PENDING};
}

void
hook_ask(struct generation *g, struct session *s, enum hook hook)
{
    double budget =
        hook == HOOK_CLOSED ? CLOSED_TIMEOUT : s->listener->limits.hook_timeout;
    struct call *call = call_new(g->vm, budget, finished, NULL);

    if (call == NULL) {
        hook_count_overload(g, (int)hook, s);
        if (!hook_is_notification(hook))
            refuse_overload(s);
        return;
    }
    hook_count_call(g, (int)hook);
    struct hook_run *run = run_new(g, s, hook, call);
    run->is_notification = hook_is_notification(hook);
    if (run->is_notification && s->record.vars == NULL)
        s->record.vars = vars_new();
    run->session = run->is_notification ? session_snapshot(s) : s;
    if (run->is_notification)
        make_objects(run, s);
    else
        expect(run, s);
    run->is_asking = true;
    if (advance(run))
        run->is_asking = false;
}

void
hook_ask_shadow(struct generation *g, struct session *s, enum hook hook,
                const struct chain *chain, void (*decided)(struct session *s))
{
    struct call *call =
        call_new(g->vm, s->listener->limits.hook_timeout, finished, NULL);

    if (call == NULL) {
        refuse_overload(s);
        decided(s);
        return;
    }
    call->cpu_left = SHADOW_CPU;
    call->is_shadow = true;
    struct hook_run *run = run_new(g, s, hook, call);
    run->chain = chain;
    run->session = s;
    run->shadow = decided;
    expect(run, s);
    (void)advance(run);
}

void
hook_cancel(struct hook_run *run)
{
    run_free(run);
}
