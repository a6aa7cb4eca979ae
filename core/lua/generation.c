#include "lua/generation.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/config.h"
#include "lua/hook_count.h"
#include "lua/hook_ops.h"
#include "lua/objects.h"
#include "lua/policy_load.h"
#include "lua/redis_subscription.h"
#include "lua/shadow.h"
#include "lua/timers.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static void
set_errors(char **errors, const char *text)
{
    free(*errors);
    *errors = xstrndup(text, strlen(text));
}

/* The message on the top of the stack. */
static bool
take_message(lua_State *L, char **errors)
{
    const char *text = lua_tostring(L, -1);

    set_errors(errors, text != NULL ? text : "out of memory");
    return false;
}

/* Pushes what the environment's file returns: { path =, value = }, or only
 * { message = }; nil without such a file. */
static void
push_overlay(struct generation *g)
{
    lua_State *L = g->vm->L;
    struct source_file file;
    struct error err = {""};
    const char *part = "message";

    if (!source_has_overlay(g->source)) {
        lua_pushnil(L);
        return;
    }
    lua_newtable(L);
    if (!g->source->find(g->source, BUNDLE_OVERLAY, S(""), &file, &err)) {
        lua_pushstring(L, err.text);
    } else {
        lua_pushlstring(L, file.path.ptr, file.path.len);
        lua_setfield(L, -2, "path");
        if (vm_compile(L, BUNDLE_OVERLAY, &file) == 1) {
            if (vm_call(g->vm, 0, 1))
                part = "value";
        } else {
            lua_remove(L, -2);
        }
    }
    lua_setfield(L, -2, part);
}

/* Calls finish_config on the file's result, at index 1, and leaves there what
 * the policies are to be loaded with.  False if there are errors; then that
 * may be nil. */
static bool
finish_config(struct generation *g, struct slice path, char **errors)
{
    lua_State *L = g->vm->L;

    vm_core(L, "finish_config");
    lua_insert(L, 1);
    lua_pushlstring(L, path.ptr, path.len);
    push_overlay(g);
    if (!vm_call(g->vm, 3, 2)) {
        (void)take_message(L, errors);
        lua_settop(L, 0);
        lua_pushnil(L);
        return false;
    }
    bool fine = lua_isnil(L, 2);
    if (!fine)
        (void)take_message(L, errors);
    lua_settop(L, 1);
    return fine;
}

/* Leaves the checked configuration at index 1. */
static bool
run_config(struct generation *g, char **errors)
{
    lua_State *L = g->vm->L;
    struct source_file file;
    struct error err = {""};

    if (!g->source->find(g->source, BUNDLE_CONFIG, S(""), &file, &err)) {
        set_errors(errors, err.text);
        return false;
    }
    if (vm_compile(L, BUNDLE_CONFIG, &file) != 1)
        return take_message(L, errors);
    if (!vm_call(g->vm, 0, 1))
        return take_message(L, errors);
    if (finish_config(g, file.path, errors))
        return true;
    /* All mistakes are told at once. */
    if (lua_istable(L, 1) && !g->host.no_policies)
        (void)policies_check(g, errors);
    return false;
}

static bool
build(struct generation *g, char **errors)
{
    struct error err = {""};

    if (!run_config(g, errors))
        return false;
    g->config = config_build(g, 1, &err);
    if (g->config == NULL) {
        set_errors(errors, err.text);
        return false;
    }
    return g->host.no_policies || policies_load(g, errors);
}

struct generation *
generation_load(const struct host *host, struct source *source, unsigned number,
                char **errors)
{
    struct generation *g = xcalloc(1, sizeof *g);
    struct error err = {""};

    *errors = NULL;
    g->policy.ops = &hook_ops;
    g->host = *host;
    g->source = source;
    g->number = number;
    list_init(&g->shadows);
    g->deliver = session_run;
    g->vm = vm_new(&g->host, source, false, &err);
    if (g->vm == NULL) {
        set_errors(errors, err.text);
        generation_free(g);
        return NULL;
    }
    g->vm->generation = g;
    hook_count_begin(g);
    bool built = build(g, errors);
    if (g->host.inspect != NULL)
        g->host.inspect(g, g->host.inspect_arg);
    if (!built) {
        generation_free(g);
        return NULL;
    }
    return g;
}

struct generation *
generation_new(const struct host *host, const struct bundle *bundle,
               unsigned number, struct error *err)
{
    char *errors;
    struct generation *g =
        generation_load(host, source_of_bundle(bundle), number, &errors);

    if (g == NULL)
        error_set(err, "%s", errors);
    else
        lua_settop(g->vm->L, 0);
    free(errors);
    return g;
}

void
generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    shadow_end_all(g);
    vm_free(g->vm);
    policies_free(g);
    if (g->config != NULL)
        config_unref(g->config);
    source_free(g->source);
    free(g);
}

void
generation_serve(struct generation *g)
{
    timers_start(g->vm);
    redis_subscriptions_start(g->vm);
}

void
generation_retire(struct generation *g)
{
    timers_stop(g->vm);
    redis_subscriptions_stop(g->vm);
    vm_end_background(g->vm);
}

bool
generation_is_idle(const struct generation *g)
{
    return g->holds == 0 && g->vm->call_count == 0;
}

void
generation_cancel(struct generation *g)
{
    vm_end_calls(g->vm);
}

struct config *
generation_config(struct generation *g)
{
    return g->config;
}

struct hook_totals
generation_totals(const struct generation *g)
{
    return g->totals;
}

struct policy *
generation_policy(struct generation *g)
{
    return &g->policy;
}

const struct chain *
generation_chain(const struct generation *g, const struct listener_config *l)
{
    const struct config *c = g->config;

    if (l->index < c->listener_count && l == &c->listeners[l->index])
        return &g->chains[l->index];
    /* A session of another configuration. */
    l = config_listener(c, l);
    return l != NULL ? &g->chains[l->index] : NULL;
}

const struct loaded_policy *
chain_next(const struct chain *c, int hook, size_t *next)
{
    while (c != NULL && *next < c->count) {
        const struct loaded_policy *p = c->policies[(*next)++];
        if (p->hooks[hook] != LUA_NOREF)
            return p;
    }
    return NULL;
}

const char *
hook_label(int hook)
{
    return hook == HOOK_MECHANISMS ? "mechanisms"
           : hook == HOOK_INIT     ? "init"
                                   : hook_name((enum hook)hook);
}
