#include "lua/spec_host.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/evaluate.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/objects.h"
#include "lua/run.h"
#include "lua/share.h"
#include "lua/spec_facts.h"
#include "lua/spec_session.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATEWAY "moongate.spec.gateway"
#define SESSION "moongate.spec.session"
#define LOG_MAX ((size_t)1 << 20)

struct gateway {
    struct bundle *bundle;
    struct lasting *lasting;
    struct host host;
    struct generation *generation;
    bool exhausted;
};

struct spec_object {
    struct spec_session *spec;
    struct gateway *gateway; /* whose newest generation it asks */
};

/* Messages since the last look; specs of one process share the logger. */
static struct buf logged;

static void
keep_line(enum log_level level, struct slice line)
{
    (void)level;
    if (!buf_append(&logged, line) || !buf_append(&logged, S("\n")))
        return;
}

static void
note_exhausted(void *arg, struct generation *g)
{
    (void)g;
    ((struct gateway *)arg)->exhausted = true;
}

/* A bundle from the disk, and from it a generation: as in production. */
static bool
open_gateway(struct gateway *g, const char *path, const struct host *host,
             char **errors)
{
    struct bundle_writer *w = bundle_writer_new();
    struct plan plan;
    struct share share;
    struct error err = {""};

    g->lasting = lasting_new(host->loop, host->dns);
    g->host = *host;
    g->host.lasting = g->lasting;
    g->host.exhausted = note_exhausted;
    g->host.arg = g;
    share_find(&share);
    if (!config_evaluate(&(struct config_order){.path = path}, &share, w, &plan,
                         errors)) {
        bundle_writer_free(w);
        return false;
    }
    plan_deinit(&plan);
    int fd = bundle_writer_seal(w, &err);
    g->bundle = fd >= 0 ? bundle_open(fd, &err) : NULL;
    if (fd >= 0)
        (void)close(fd);
    if (g->bundle != NULL)
        g->generation = generation_new(&g->host, g->bundle, 1, &err);
    if (g->generation == NULL)
        *errors = xstrndup(err.text, strlen(err.text));
    return g->generation != NULL;
}

static int
gateway_collect(lua_State *L)
{
    struct gateway *g = lua_touserdata(L, 1);

    generation_free(g->generation);
    lasting_free(g->lasting);
    if (g->bundle != NULL)
        bundle_close(g->bundle);
    *g = (struct gateway){0};
    return 0;
}

static void
delivered(struct session *s)
{
    (void)s; /* ask() looks at the verdict */
}

static struct gateway *
check_gateway(lua_State *L)
{
    struct gateway *g = luaL_checkudata(L, 1, GATEWAY);

    if (g->generation == NULL)
        luaL_error(L, "the gateway was closed");
    return g;
}

static int
collect_session(lua_State *L)
{
    struct spec_object *o = lua_touserdata(L, 1);
    struct policy *p;

    if (o->spec == NULL)
        return 0;
    p = generation_policy(o->gateway->generation);
    p->ops->forget(p, &o->spec->session);
    spec_session_free(o->spec);
    o->spec = NULL;
    return 0;
}

static struct spec_object *
check_spec(lua_State *L)
{
    struct spec_object *o = luaL_checkudata(L, 1, SESSION);

    if (o->spec == NULL)
        luaL_error(L, "the session was closed");
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

/* (session, hook, options): the verdict, when it comes. */
static int
session_ask_hook(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    enum hook hook = check_hook(L, 2);
    struct policy *p = generation_policy(o->gateway->generation);
    struct session *s = &o->spec->session;

    luaL_checktype(L, 3, LUA_TTABLE);
    spec_session_set(L, 3, o->spec);
    s->login->hook = hook;
    s->login->verdict = (struct verdict){.kind = VERDICT_NONE};
    if (p->ops->has(p, s->listener, hook)) {
        if (hook != HOOK_CLOSED && hook != HOOK_SPLICED)
            s->login->verdict.kind = VERDICT_PENDING;
        p->ops->ask(p, s, hook);
    }
    while (s->login->verdict.kind == VERDICT_PENDING)
        (void)ev_run(o->gateway->host.loop, EVRUN_ONCE);
    spec_verdict_push(L, s);
    return 1;
}

/* (session, hook): begins it and gives it up at once. */
static int
session_cancel_hook(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    struct policy *p = generation_policy(o->gateway->generation);
    struct session *s = &o->spec->session;

    s->login->hook = check_hook(L, 2);
    s->login->verdict = (struct verdict){.kind = VERDICT_PENDING};
    p->ops->ask(p, s, s->login->hook);
    lua_pushboolean(L, s->login->verdict.kind == VERDICT_PENDING);
    p->ops->cancel(p, s);
    return 1;
}

static int
session_mechanisms(lua_State *L)
{
    struct spec_object *o = check_spec(L);
    struct policy *p = generation_policy(o->gateway->generation);
    struct session *s = &o->spec->session;
    unsigned set = p->ops->mechanisms(p, s, s->listener->settings.mechanisms);

    lua_newtable(L);
    for (int m = 0; m < MECHANISM_COUNT; m++) {
        if ((set & MECHANISM_BIT((unsigned)m)) == 0)
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

static const luaL_Reg session_methods[] = {
    {"ask", session_ask_hook},
    {"cancel", session_cancel_hook},
    {"mechanisms", session_mechanisms},
    {"user", session_user},
    {NULL, NULL},
};

static const luaL_Reg session_events[] = {
    {"__gc", collect_session},
    {NULL, NULL},
};

static int
gateway_session(lua_State *L)
{
    struct gateway *g = check_gateway(L);

    luaL_checktype(L, 2, LUA_TTABLE);
    struct spec_object *o = lua_newuserdata(L, sizeof *o);
    *o = (struct spec_object){NULL, g};
    object_set_type(L, SESSION, session_events, session_methods);
    lua_newtable(L); /* keeps the gateway */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    (void)lua_setfenv(L, -2);
    o->spec =
        spec_session_new(L, 2, g->generation->host.loop, g->generation->config);
    if (o->spec == NULL)
        return luaL_error(L, "no such listener");
    return 1;
}

struct waiting {
    bool done, ok;
    char text[512];
};

static void
init_done(void *arg, bool ok, const char *error)
{
    struct waiting *w = arg;

    w->done = true;
    w->ok = ok;
    if (!ok)
        (void)log_escape(slice_of(error), w->text, sizeof w->text);
}

/* Runs `init`: true, or nil and the message. */
static int
gateway_init(lua_State *L)
{
    struct gateway *g = check_gateway(L);
    struct waiting w = {false, false, ""};

    generation_init(g->generation, init_done, &w);
    while (!w.done)
        (void)ev_run(g->generation->host.loop, EVRUN_ONCE);
    if (!w.ok) {
        lua_pushnil(L);
        lua_pushstring(L, w.text);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

struct wanted {
    const char *name;
    double value;
};

static void
look_at(void *arg, const struct counter *counter)
{
    struct wanted *w = arg;

    if (strcmp(counter->name, w->name) == 0)
        w->value += counter->value;
}

/* How often `name` with its labels was counted. */
static int
gateway_counter(lua_State *L)
{
    struct gateway *g = check_gateway(L);
    struct wanted w = {luaL_checkstring(L, 2), 0};

    counters_each(g->lasting->counters, look_at, &w);
    lua_pushnumber(L, w.value);
    return 1;
}

/* How many hooks it has run, and how many failed by a policy's mistake. */
static int
gateway_totals(lua_State *L)
{
    struct hook_totals totals = generation_totals(check_gateway(L)->generation);

    lua_pushnumber(L, (lua_Number)totals.calls);
    lua_pushnumber(L, (lua_Number)totals.bugs);
    return 2;
}

/* Builds the next generation from the same bundle. */
static int
gateway_renew(lua_State *L)
{
    struct gateway *g = check_gateway(L);
    struct generation *old = g->generation;
    struct error err = {""};
    struct generation *fresh =
        generation_new(&g->host, g->bundle, old->number + 1, &err);

    if (fresh == NULL)
        return luaL_error(L, "%s", err.text);
    fresh->deliver = old->deliver;
    g->generation = fresh;
    g->exhausted = false;
    generation_free(old);
    return 0;
}

/* Whether its state was full twice within a minute. */
static int
gateway_exhausted(lua_State *L)
{
    lua_pushboolean(L, check_gateway(L)->exhausted);
    return 1;
}

static const luaL_Reg gateway_methods[] = {
    {"session", gateway_session},
    {"init", gateway_init},
    {"counter", gateway_counter},
    {"totals", gateway_totals},
    {"exhausted", gateway_exhausted},
    {"renew", gateway_renew},
    {NULL, NULL},
};

static const luaL_Reg gateway_events[] = {
    {"__gc", gateway_collect},
    {NULL, NULL},
};

/* (path of moongate.lua): a gateway, or nil and all errors. */
static int
host_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char *errors = NULL;
    struct gateway *g = lua_newuserdata(L, sizeof *g);

    *g = (struct gateway){0};
    object_set_type(L, GATEWAY, gateway_events, gateway_methods);
    if (!open_gateway(g, path, host_of(L), &errors)) {
        lua_pushnil(L);
        lua_pushstring(L, errors);
        free(errors);
        return 2;
    }
    g->generation->deliver = delivered;
    return 1;
}

/* What was logged since the last call. */
static int
host_logged(lua_State *L)
{
    struct slice text = buf_bytes(&logged);

    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    buf_consume(&logged, text.len);
    return 1;
}

static const luaL_Reg functions[] = {
    {"open", host_open},
    {"run", run_function},
    {"logged", host_logged},
    {"facts", spec_facts},
    {"refusal", spec_refusal},
    {"read_configuration", spec_read_configuration},
    {NULL, NULL},
};

int
spec_host_open(lua_State *L)
{
    if (logged.cap == 0) {
        buf_init(&logged, LOG_MAX);
        log_set_level(LOG_DEBUG);
        log_set_sink(keep_line);
    }
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
