#include "lua/policy_load.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/native_hook.h"
#include "lua/objects.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Errors of several policies, on a Lua stack: text is appended to the string
 * at index 2. */
static void
add_error(lua_State *L)
{
    /* The message is on the top. */
    if (lua_objlen(L, 2) > 0) {
        lua_pushvalue(L, 2);
        lua_pushliteral(L, "\n");
        lua_pushvalue(L, -3);
        lua_concat(L, 3);
        lua_replace(L, -2);
    }
    lua_replace(L, 2);
}

static int
hook_index(const char *name)
{
    for (int i = 0; i < HOOK_ALL; i++) {
        if (strcmp(hook_label(i), name) == 0)
            return i;
    }
    return -1;
}

static void
add_unknown_hook(lua_State *L, const struct loaded_policy *p, const char *name)
{
    const char *names[HOOK_ALL + 1];

    for (int i = 0; i < HOOK_ALL; i++)
        names[i] = hook_label(i);
    names[HOOK_ALL] = NULL;
    const char *near = nearest_name(name, names);
    if (near != NULL)
        (void)lua_pushfstring(
            L, "%s:1: unknown hook \"%s\" (did you mean \"%s\"?)", p->path,
            name, near);
    else
        (void)lua_pushfstring(L, "%s:1: unknown hook \"%s\"", p->path, name);
    add_error(L);
}

/* The hook is on the top. */
static void
keep_hook(lua_State *L, struct loaded_policy *p, int hook)
{
    lua_Debug d = {.linedefined = 1};

    p->natives[hook] = native_hook_test(L, -1);
    if (p->natives[hook] == NULL) {
        lua_pushvalue(L, -1);
        (void)lua_getinfo(L, ">S", &d);
    }
    p->lines[hook] = d.linedefined;
    lua_pushvalue(L, -1);
    p->hooks[hook] = luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool
can_be_hook(lua_State *L, int hook)
{
    return lua_isfunction(L, -1) ||
           (native_hook_serves(hook) && native_hook_test(L, -1) != NULL);
}

/* One member of a policy's table: key and value are on the top. */
static void
take_hook(lua_State *L, struct loaded_policy *p)
{
    int hook =
        lua_type(L, -2) == LUA_TSTRING ? hook_index(lua_tostring(L, -2)) : -1;

    if (lua_type(L, -2) != LUA_TSTRING) {
        (void)lua_pushfstring(L, "%s:1: a policy's hooks have names", p->path);
        add_error(L);
    } else if (hook < 0) {
        add_unknown_hook(L, p, lua_tostring(L, -2));
    } else if (!can_be_hook(L, hook)) {
        (void)lua_pushfstring(L, "%s:1: hook \"%s\" is a %s, not a function",
                              p->path, hook_label(hook), luaL_typename(L, -1));
        add_error(L);
    } else {
        keep_hook(L, p, hook);
    }
}

/* The table that the policy returned is on the top; pops it. */
static void
take_hooks(lua_State *L, struct loaded_policy *p)
{
    if (!lua_istable(L, -1)) {
        (void)lua_pushfstring(
            L, "%s:1: a policy must return a table of hooks, not a %s", p->path,
            luaL_typename(L, -1));
        add_error(L);
        lua_pop(L, 1);
        return;
    }
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        take_hook(L, p);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Says where the listener names its policies. */
static void
add_missing(lua_State *L, size_t block, const char *why)
{
    lua_getfield(L, 1, "listen");
    lua_rawgeti(L, -1, (int)block + 1);
    lua_getfield(L, -1, "policy_place");
    (void)lua_pushfstring(L, "%s: policy %s", lua_tostring(L, -1), why);
    add_error(L);
    lua_pop(L, 3);
}

static void
load_one(struct generation *g, size_t block, struct slice name)
{
    lua_State *L = g->vm->L;
    struct loaded_policy *p = &g->policies[g->policy_count++];
    struct source_file file;
    struct error err;

    p->name = xstrndup(name.ptr, name.len);
    for (int i = 0; i < HOOK_ALL; i++)
        p->hooks[i] = LUA_NOREF;
    if (!g->source->find(g->source, BUNDLE_POLICY, name, &file, &err)) {
        p->path = xstrndup("", 0);
        add_missing(L, block, err.text);
        return;
    }
    p->path = xstrndup(file.path.ptr, file.path.len);
    if (vm_compile(L, BUNDLE_POLICY, &file) != 1) {
        lua_remove(L, -2);
        add_error(L);
    } else if (!vm_call(g->vm, 0, 1)) {
        add_error(L);
    } else {
        take_hooks(L, p);
    }
}

static const struct loaded_policy *
find_policy(const struct generation *g, struct slice name)
{
    for (size_t i = 0; i < g->policy_count; i++) {
        if (slice_equal(slice_of(g->policies[i].name), name))
            return &g->policies[i];
    }
    return NULL;
}

/* Calls `each` for every name of every listener in its list `key`: position of
 * the listener in moongate.lua, name of the policy. */
static void
each_name(struct generation *g, const char *key,
          void (*each)(struct generation *g, size_t block, struct slice name))
{
    lua_State *L = g->vm->L;
    struct slice name;

    lua_getfield(L, 1, "listen");
    int all = lua_gettop(L);
    for (int i = 1; i <= (int)lua_objlen(L, all); i++) {
        lua_rawgeti(L, all, i);
        lua_getfield(L, -1, key);
        int list = lua_gettop(L);
        int count = lua_istable(L, list) ? (int)lua_objlen(L, list) : 0;
        for (int j = 1; j <= count; j++) {
            lua_rawgeti(L, list, j);
            name.ptr = luaL_checklstring(L, -1, &name.len);
            each(g, (size_t)i - 1, name);
            lua_settop(L, list);
        }
        lua_settop(L, all);
    }
    lua_settop(L, all - 1);
}

static void
count_name(struct generation *g, size_t block, struct slice name)
{
    (void)block;
    (void)name;
    g->policy_count++;
}

static void
load_name(struct generation *g, size_t block, struct slice name)
{
    if (find_policy(g, name) == NULL)
        load_one(g, block, name);
}

/* A listener with several addresses has several entries of one name. */
static void
link_to(struct generation *g, struct chain *chains, size_t block,
        struct slice name)
{
    lua_State *L = g->vm->L;
    struct slice listener;

    lua_getfield(L, 1, "listen");
    lua_rawgeti(L, -1, (int)block + 1);
    lua_getfield(L, -1, "name");
    listener.ptr = lua_tolstring(L, -1, &listener.len);
    for (size_t i = 0; i < g->config->listener_count; i++) {
        struct chain *c = &chains[i];
        if (slice_equal(g->config->listeners[i].name, listener))
            c->policies[c->count++] = find_policy(g, name);
    }
    lua_pop(L, 3);
}

static void
link_live(struct generation *g, size_t block, struct slice name)
{
    link_to(g, g->chains, block, name);
}

static void
link_shadow(struct generation *g, size_t block, struct slice name)
{
    link_to(g, g->shadow_chains, block, name);
}

static struct chain *
chains_new(const struct generation *g, size_t names)
{
    size_t count = g->config->listener_count;
    struct chain *chains = xcalloc(count, sizeof *chains);

    for (size_t i = 0; i < count; i++)
        chains[i].policies = xcalloc(names + 1, sizeof(void *));
    return chains;
}

static void
chains_free(const struct generation *g, struct chain *chains)
{
    for (size_t i = 0; chains != NULL && i < g->config->listener_count; i++)
        free(chains[i].policies);
    free(chains);
}

static void
make_chains(struct generation *g, size_t names)
{
    g->chains = chains_new(g, names);
    g->shadow_chains = chains_new(g, names);
    each_name(g, "policy", link_live);
    each_name(g, "shadow", link_shadow);
}

/* What is asked, and offered, only where a policy wants to know. */
static void
set_asks(struct generation *g)
{
    for (size_t i = 0; i < g->config->listener_count; i++) {
        struct proto_settings *s = &g->config->listeners[i].settings;
        size_t helo = 0, mail = 0, verifier = 0;
        s->ask_helo = chain_next(&g->chains[i], HOOK_HELO, &helo) != NULL;
        s->ask_mail = chain_next(&g->chains[i], HOOK_MAIL, &mail) != NULL;
        s->ask_verifier =
            chain_next(&g->chains[i], HOOK_VERIFIER, &verifier) != NULL;
    }
}

/* `*names` is how many there are in all chains together. */
static bool
load_all(struct generation *g, char **errors, size_t *names)
{
    lua_State *L = g->vm->L;
    size_t len;

    lua_settop(L, 1);
    lua_pushstring(L, *errors != NULL ? *errors : ""); /* see add_error */
    each_name(g, "policy", count_name);
    each_name(g, "shadow", count_name);
    *names = g->policy_count;
    g->policies = xcalloc(*names + 1, sizeof *g->policies);
    g->policy_count = 0;
    each_name(g, "policy", load_name);
    each_name(g, "shadow", load_name);
    const char *text = lua_tolstring(L, 2, &len);
    if (len > 0) {
        free(*errors);
        *errors = xstrndup(text, len);
    }
    lua_settop(L, 1);
    return len == 0;
}

bool
policies_check(struct generation *g, char **errors)
{
    size_t names;

    return load_all(g, errors, &names);
}

bool
policies_load(struct generation *g, char **errors)
{
    size_t names;

    if (!load_all(g, errors, &names))
        return false;
    make_chains(g, names);
    set_asks(g);
    return true;
}

void
policies_free(struct generation *g)
{
    chains_free(g, g->chains);
    chains_free(g, g->shadow_chains);
    for (size_t i = 0; i < g->policy_count && g->policies != NULL; i++) {
        free(g->policies[i].name);
        free(g->policies[i].path);
    }
    free(g->policies);
}
