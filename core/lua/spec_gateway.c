#include "lua/spec_gateway.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/evaluate.h"
#include "lua/lasting.h"
#include "lua/objects.h"
#include "lua/share.h"
#include "lua/spec_console.h"
#include "lua/spec_coverage.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATEWAY "moongate.spec.gateway"

static void
delivered(struct session *s)
{
    (void)s; /* who asked looks at the verdict */
}

/* A generation that goes on reading from the disk: anything may be required in
 * it, at any time. */
static bool
build_on_disk(struct spec_gateway *g, const struct config_order *order,
              char **errors)
{
    struct share share;

    share_find(&share);
    g->generation = generation_load(
        &g->host, source_of_disk(order->path, order->environment, &share, NULL),
        1, errors);
    if (g->generation == NULL)
        return false;
    free(*errors);
    lua_settop(g->generation->vm->L, 0);
    g->generation->deliver = delivered;
    return true;
}

/* A bundle from the disk, and from it a generation: as in production. */
static bool
build(struct spec_gateway *g, const struct config_order *order, unsigned number,
      char **errors)
{
    struct bundle_writer *w = bundle_writer_new();
    struct plan plan;
    struct share share;
    struct error err = {""};

    share_find(&share);
    if (!config_evaluate(order, &share, w, &plan, errors)) {
        bundle_writer_free(w);
        return false;
    }
    plan_deinit(&plan);
    int fd = bundle_writer_seal(w, &err);
    g->bundle = fd >= 0 ? bundle_open(fd, &err) : NULL;
    if (fd >= 0)
        (void)close(fd);
    if (g->bundle != NULL)
        g->generation = generation_new(&g->host, g->bundle, number, &err);
    if (g->generation == NULL) {
        *errors = xstrndup(err.text, strlen(err.text));
        return false;
    }
    g->generation->deliver = delivered;
    return true;
}

static void
note_exhausted(void *arg, struct generation *generation)
{
    (void)generation;
    ((struct spec_gateway *)arg)->exhausted = true;
}

static void
forget(struct spec_gateway *g)
{
    generation_free(g->generation);
    if (g->bundle != NULL)
        bundle_close(g->bundle);
    g->generation = NULL;
    g->bundle = NULL;
}

static int
gateway_collect(lua_State *L)
{
    struct spec_gateway *g = lua_touserdata(L, 1);

    if (g->world != NULL)
        spec_world_enter(g->world, L);
    forget(g);
    lasting_free(g->lasting);
    spec_world_free(g->world);
    *g = (struct spec_gateway){0};
    return 0;
}

struct spec_gateway *
spec_gateway_check(lua_State *L, int index)
{
    struct spec_gateway *g = luaL_checkudata(L, index, GATEWAY);

    if (g->generation == NULL)
        luaL_error(L, "the gateway was closed");
    spec_world_enter(g->world, L);
    return g;
}

struct waiting {
    bool done, ok;
    char text[4096];
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

/* Runs `init` of every policy; false and why. */
static bool
initialise(struct spec_gateway *g, struct waiting *w)
{
    *w = (struct waiting){0};
    generation_init(g->generation, init_done, w);
    while (!w->done && spec_world_step(g->world))
        ;
    if (!w->done) { /* there is trouble: nothing comes after it */
        vm_end_calls(g->generation->vm);
        g->generation->vm->closing = false;
    }
    return w->ok;
}

/* true, or nil and the message. */
static int
gateway_init(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct waiting w;

    bool ok = initialise(g, &w);
    spec_world_raise(g->world, L);
    if (ok) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, w.text);
    return 2;
}

static struct config_order
order_of(lua_State *L, int path, int options)
{
    struct config_order order = {.path = luaL_checkstring(L, path)};

    luaL_checktype(L, options, LUA_TTABLE);
    order.environment = value_text(L, options, "environment").ptr;
    return order;
}

/* (gateway, path, options): the next generation takes over, and it is true; or
 * nil and the errors, and nothing has changed. */
static int
gateway_reload(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct config_order order = order_of(L, 2, 3);
    struct spec_gateway next = {.world = g->world, .host = g->host};
    struct waiting w = {0};
    char *errors = NULL;

    if (!build(&next, &order, g->generation->number + 1, &errors) ||
        !initialise(&next, &w)) {
        forget(&next);
        lua_pushnil(L);
        lua_pushstring(L, errors != NULL ? errors : w.text);
        free(errors);
        spec_world_raise(g->world, L);
        return 2;
    }
    generation_retire(g->generation);
    forget(g);
    g->generation = next.generation;
    g->bundle = next.bundle;
    g->exhausted = false;
    generation_serve(g->generation);
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
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct wanted w = {luaL_checkstring(L, 2), 0};

    counters_each(g->lasting->counters, look_at, &w);
    lua_pushnumber(L, w.value);
    return 1;
}

/* How many hooks it has run, and how many failed by a policy's mistake. */
static int
gateway_totals(lua_State *L)
{
    struct hook_totals totals =
        generation_totals(spec_gateway_check(L, 1)->generation);

    lua_pushnumber(L, (lua_Number)totals.calls);
    lua_pushnumber(L, (lua_Number)totals.bugs);
    return 2;
}

static bool
in_library(struct slice name)
{
    return slice_equal(name, S("moongate")) ||
           slice_has_prefix(name, S("moongate.")) ||
           slice_has_prefix(name, S("api."));
}

/* The paths of its policies, and of what they require. */
static int
gateway_files(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    int n = 0;

    lua_newtable(L);
    for (size_t i = 0; g->bundle && i < bundle_count(g->bundle); i++) {
        struct bundle_entry e = bundle_at(g->bundle, i);
        if (e.kind != BUNDLE_POLICY &&
            (e.kind != BUNDLE_MODULE || in_library(e.name)))
            continue;
        lua_pushlstring(L, e.path.ptr, e.path.len);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* Whether its state was full twice within a minute. */
static int
gateway_exhausted(lua_State *L)
{
    lua_pushboolean(L, spec_gateway_check(L, 1)->exhausted);
    return 1;
}

/* Seconds since the gateway was opened. */
static int
gateway_now(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);

    lua_pushnumber(L, g->world->clock.now - g->world->clock.began);
    return 1;
}

static int
gateway_advance(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    double seconds = luaL_checknumber(L, 2);

    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 2, "seconds expected");
    luaL_argcheck(L, !g->world->live, 1, "this clock is the machine's");
    spec_world_pause(g->world, seconds);
    spec_world_raise(g->world, L);
    return 0;
}

static const luaL_Reg methods[] = {
    {"session", spec_gateway_session}, {"init", gateway_init},
    {"reload", gateway_reload},        {"counter", gateway_counter},
    {"call", spec_console_call},       {"run", spec_console_run},
    {"totals", gateway_totals},        {"files", gateway_files},
    {"exhausted", gateway_exhausted},  {"now", gateway_now},
    {"advance", gateway_advance},      {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__gc", gateway_collect},
    {NULL, NULL},
};

int
spec_gateway_open(lua_State *L)
{
    struct config_order order = order_of(L, 1, 2);
    bool live = value_flag(L, 2, "live"), disk = value_flag(L, 2, "disk");
    char *errors = NULL;

    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct spec_gateway *g = lua_newuserdata(L, sizeof *g);
    *g = (struct spec_gateway){0};
    object_set_type(L, GATEWAY, events, methods);
    g->world = spec_world_new(L, 3, host_of(L), live);
    g->host = *host_of(L);
    g->host.loop = g->world->loop;
    g->host.dns = g->world->dns;
    spec_sessions_init(&g->sessions, g->world);
    if (!live)
        g->host.asker = &g->sessions.asker;
    g->lasting = lasting_new(g->host.loop, g->host.dns);
    g->host.lasting = g->lasting;
    g->host.exhausted = note_exhausted;
    g->host.arg = g;
    if (spec_coverage_counts())
        g->host.line = spec_coverage_line;
    bool built =
        disk ? build_on_disk(g, &order, &errors) : build(g, &order, 1, &errors);
    if (!built) {
        lua_pushnil(L);
        lua_pushstring(L, errors);
        free(errors);
        return 2;
    }
    if (!disk)
        generation_serve(g->generation);
    return 1;
}
