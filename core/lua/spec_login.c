/* spec_login.c -- the sessions of a gateway under a spec: single hooks, and
 * whole logins, whose verdicts the session layer acts on. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/decision.h"
#include "lua/hook_ops.h"
#include "lua/hook_run.h"
#include "lua/lasting.h"
#include "lua/objects.h"
#include "lua/spec_gateway.h"
#include "lua/spec_scram.h"
#include "lua/spec_session.h"
#include "lua/spec_verdict.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <string.h>

#define SESSION "moongate.spec.session"

struct spec_object {
    struct spec_session *spec;
    struct spec_gateway *gateway;
};

static int
collect_session(lua_State *L)
{
    struct spec_object *o = lua_touserdata(L, 1);

    if (o->spec == NULL)
        return 0;
    hook_ops.forget(NULL, &o->spec->session); /* which runs no hook */
    spec_session_free(o->spec);
    o->spec = NULL;
    return 0;
}

/* Its next hooks are those of the newest generation. */
static struct spec_object *
check_spec(lua_State *L)
{
    struct spec_object *o = luaL_checkudata(L, 1, SESSION);

    if (o->spec == NULL) {
        luaL_error(L, "the session was closed");
        return o;
    }
    spec_world_enter(o->gateway->world, L);
    o->spec->home.policy = generation_policy(o->gateway->generation);
    o->spec->home.config = generation_config(o->gateway->generation);
    return o;
}

static enum hook
check_hook(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (int i = 0; i < HOOK_COUNT; i++) {
        if (strcmp(name, hook_name((enum hook)i)) == 0)
            return (enum hook)i;
    }
    luaL_error(L, "no such hook: %s", name);
    return HOOK_COUNT;
}

/* Waits for the verdict and pushes it. */
static void
push_verdict(lua_State *L, struct spec_object *o)
{
    struct spec_world *w = o->gateway->world;
    struct session *s = &o->spec->session;
    struct policy *p = s->home->policy;

    while (s->login->verdict.kind == VERDICT_PENDING && spec_world_step(w))
        ;
    if (s->login->verdict.kind == VERDICT_PENDING)
        p->ops->cancel(p, s);
    if (w->trouble != NULL)
        session_let_go(s);
    if (p->ops->has(p, s->listener, s->login->hook))
        spec_world_note_hook(w, hook_name(s->login->hook),
                             decision_name(s->login->verdict.kind));
    spec_world_raise(w, L);
    spec_verdict_push(L, s);
}

/* (session, hook, options): the verdict, when it comes. */
static int
session_ask_hook(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    enum hook hook = check_hook(L, 2);
    struct session *s = &o->spec->session;
    struct policy *p = s->home->policy;

    luaL_checktype(L, 3, LUA_TTABLE);
    spec_session_set(L, 3, o->spec);
    if (s->attempts == 0)
        s->attempts = 1;
    s->login->hook = hook;
    s->login->verdict = (struct verdict){.kind = VERDICT_NONE};
    if (p->ops->has(p, s->listener, hook)) {
        if (!hook_is_notification(hook))
            s->login->verdict.kind = VERDICT_PENDING;
        p->ops->ask(p, s, hook);
    }
    push_verdict(L, o);
    return 1;
}

/* What a login has come to. */
struct outcome {
    int accept, last; /* places on the stack */
    bool refused;     /* by the last verdict */
};

/* Acts on verdicts until no hook is asked any more. */
static enum phase
follow(lua_State *L, struct spec_object *o, enum phase phase,
       struct outcome *outcome)
{
    struct session *s = &o->spec->session;

    while (phase == PHASE_POLICY) {
        push_verdict(L, o);
        enum verdict_kind kind = s->login->verdict.kind;
        outcome->refused = kind == VERDICT_REJECT || kind == VERDICT_TEMPFAIL;
        if (kind == VERDICT_ACCEPT) {
            lua_pushvalue(L, -1);
            lua_replace(L, outcome->accept);
        }
        lua_replace(L, outcome->last);
        spec_world_pause(o->gateway->world, s->login->verdict.delay);
        spec_world_raise(o->gateway->world, L);
        phase = session_answer(s);
    }
    return phase;
}

/* All that comes before a client may log in.  COMMAND when it may. */
static enum phase
arrive(lua_State *L, struct spec_object *o, struct outcome *outcome)
{
    struct session *s = &o->spec->session;
    struct login_state *login = s->login;

    if (login->greeted)
        return PHASE_COMMAND;
    enum phase next = follow(L, o, session_ask(s, HOOK_CONNECT), outcome);
    if (next != PHASE_GREET)
        return next;
    login->greeted = true;
    session_offer(s);
    if (!o->spec->starttls)
        return PHASE_COMMAND;
    login->dialog.secure = true;
    return follow(L, o, session_ask(s, HOOK_SECURED), outcome);
}

/* SCRAM: from the client's first message to the empty one behind our last. */
static enum phase
prove(lua_State *L, struct spec_object *o, struct outcome *outcome)
{
    struct session *s = &o->spec->session;
    struct dialog *d = &s->login->dialog;
    struct spec_scram *client = spec_scram_push(L, d);
    struct slice challenge = S("");

    struct slice line = spec_scram_answer(L, client, d, challenge);
    if (sasl_begin(d, d->credentials.mechanism, line, &challenge) !=
        SASL_VERIFIER)
        luaL_error(L, "the gateway does not take %s here",
                   mechanism_name(d->credentials.mechanism));
    enum phase phase = follow(L, o, session_ask_verifier(s), outcome);
    if (phase != PHASE_COMMAND || !d->sasl.active)
        return phase;
    outcome->refused = false; /* whoever has no verifier hears so later */
    line = spec_scram_answer(L, client, d, d->sasl.challenge);
    if (sasl_respond(d, line, &challenge) == SASL_WRONG)
        return session_refuse_proof(s);
    line = spec_scram_answer(L, client, d, challenge);
    require(sasl_respond(d, line, &challenge) == SASL_DONE);
    return follow(L, o, session_try_login(s), outcome);
}

/* (session, options): the verdict of a whole login; that of an accept tells
 * where it goes. */
static int
session_login(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    struct session *s = &o->spec->session;
    struct outcome outcome = {3, 4, false};

    luaL_checktype(L, 2, LUA_TTABLE);
    if (s->end != END_NONE)
        return luaL_error(L, "the session has ended: %s", end_name(s->end));
    lua_settop(L, outcome.last);
    enum phase phase = arrive(L, o, &outcome);
    if (phase == PHASE_COMMAND) {
        dialog_begin_attempt(&s->login->dialog);
        spec_session_set(L, 2, o->spec);
        outcome.refused = false;
        phase = mechanism_is_scram(s->login->dialog.credentials.mechanism)
                    ? prove(L, o, &outcome)
                    : follow(L, o, session_try_login(s), &outcome);
        lua_settop(L, outcome.last);
    }
    if (phase == PHASE_CONNECT) {
        session_let_go(s); /* as when it is relayed, and is over */
        visit_end(&s->visit);
        lua_settop(L, outcome.accept);
        spec_target_set(L, s);
    } else if (!outcome.refused) {
        spec_refusal_push(L, s);
    }
    return 1;
}

/* Why the session is over, or nil. */
static int
session_ended(lua_State *L)
{
    const struct session *s = &check_spec(L)->spec->session;

    if (s->end != END_NONE)
        lua_pushstring(L, end_name(s->end));
    else
        lua_pushnil(L);
    return 1;
}

/* (session, hook): begins it and gives it up at once. */
static int
session_cancel_hook(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    struct session *s = &o->spec->session;
    struct policy *p = s->home->policy;

    s->login->hook = check_hook(L, 2);
    s->login->verdict = (struct verdict){.kind = VERDICT_PENDING};
    p->ops->ask(p, s, s->login->hook);
    lua_pushboolean(L, s->login->verdict.kind == VERDICT_PENDING);
    p->ops->cancel(p, s);
    spec_world_raise(o->gateway->world, L);
    return 1;
}

static int
session_mechanisms(lua_State *L)
{
    struct session *s = &check_spec(L)->spec->session;

    session_offer(s);
    lua_newtable(L);
    for (int m = 0; m < MECHANISM_COUNT; m++) {
        if ((s->login->dialog.mechanisms & MECHANISM_BIT((unsigned)m)) == 0)
            continue;
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, mechanism_name((enum mechanism)m));
    }
    return 1;
}

static int
session_user(lua_State *L)
{
    lua_pushstring(L, check_spec(L)->spec->session.record.user);
    return 1;
}

static const luaL_Reg methods[] = {
    {"ask", session_ask_hook},
    {"login", session_login},
    {"ended", session_ended},
    {"cancel", session_cancel_hook},
    {"mechanisms", session_mechanisms},
    {"user", session_user},
    {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__gc", collect_session},
    {NULL, NULL},
};

int
spec_gateway_session(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct sessions home = {
        .loop = g->world->loop,
        .dns = g->world->dns,
        .policy = generation_policy(g->generation),
        .config = generation_config(g->generation),
        .pools = g->lasting->pools,
        .rehearsing = true,
    };

    luaL_checktype(L, 2, LUA_TTABLE);
    struct spec_object *o = lua_newuserdata(L, sizeof *o);
    *o = (struct spec_object){NULL, g};
    object_set_type(L, SESSION, events, methods);
    lua_newtable(L); /* keeps the gateway */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    (void)lua_setfenv(L, -2);
    o->spec = spec_session_new(L, 2, &home, g->generation->config);
    if (o->spec == NULL) {
        struct slice name = value_text(L, 2, "listener");
        struct slice protocol = value_text(L, 2, "protocol");
        return name.len > 0
                   ? luaL_error(L, "the configuration has no listener \"%s\"",
                                name.ptr)
                   : luaL_error(L, "no listener of the configuration speaks %s",
                                protocol.len > 0 ? protocol.ptr : "that");
    }
    return 1;
}
