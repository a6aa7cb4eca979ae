#include "lua/inspect.h"

#include "base/log.h"
#include "base/slice.h"
#include "lua/certificates.h"
#include "lua/config.h"

#include <lauxlib.h>
#include <lualib.h>
#include <time.h>

#define DEPTH_MAX 16

static void
set_text(lua_State *L, const char *name, struct slice text)
{
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

/* Adds the table on the top to the list below it. */
static void
add_to_list(lua_State *L)
{
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static const char *
kind_name(enum bundle_kind kind)
{
    return kind == BUNDLE_CONFIG    ? "config"
           : kind == BUNDLE_OVERLAY ? "overlay"
           : kind == BUNDLE_POLICY  ? "policy"
           : kind == BUNDLE_MODULE  ? "module"
                                    : NULL;
}

/* The list is on the top. */
static void
add_file(void *arg, const struct source_item *item)
{
    lua_State *L = arg;
    const char *kind = kind_name(item->kind);

    if (kind == NULL || source_is_library(item))
        return;
    lua_newtable(L);
    set_text(L, "kind", slice_of(kind));
    set_text(L, "name", slice_of(item->name));
    set_text(L, "path", slice_of(item->path));
    set_text(L, "text", item->bytes);
    add_to_list(L);
}

/* How many parameters the function on the top of the generation's own stack
 * declares, as LuaJIT's debug.getinfo tells; pops it. */
static int
count_parameters(lua_State *of)
{
    int count = 0;

    lua_getglobal(of, LUA_DBLIBNAME);
    lua_getfield(of, -1, "getinfo");
    lua_remove(of, -2);
    lua_insert(of, -2);
    lua_pushliteral(of, "u");
    if (lua_pcall(of, 2, 1, 0) == 0 && lua_istable(of, -1)) {
        lua_getfield(of, -1, "nparams");
        count = (int)lua_tointeger(of, -1);
        lua_pop(of, 1);
    }
    lua_pop(of, 1);
    return count;
}

/* The table of hooks is on the top. */
static void
add_hook(struct generation *g, const struct loaded_policy *p, int hook,
         lua_State *L)
{
    if (p->hooks[hook] == LUA_NOREF)
        return;
    lua_rawgeti(g->vm->L, LUA_REGISTRYINDEX, p->hooks[hook]);
    lua_newtable(L);
    lua_pushinteger(L, count_parameters(g->vm->L));
    lua_setfield(L, -2, "parameters");
    lua_pushinteger(L, p->lines[hook]);
    lua_setfield(L, -2, "line");
    lua_setfield(L, -2, hook_label(hook));
}

static void
add_policies(struct generation *g, lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < g->policy_count && g->policies != NULL; i++) {
        const struct loaded_policy *p = &g->policies[i];
        lua_newtable(L);
        set_text(L, "name", slice_of(p->name));
        set_text(L, "path", slice_of(p->path));
        lua_pushboolean(L, source_is_shipped(g->source, p->path));
        lua_setfield(L, -2, "shipped");
        lua_newtable(L);
        for (int hook = 0; hook < HOOK_ALL; hook++)
            add_hook(g, p, hook, L);
        lua_setfield(L, -2, "hooks");
        add_to_list(L);
    }
    lua_setfield(L, -2, "policies");
}

/* The list is on the top. */
static void
add_certificate(void *arg, enum log_level level, const char *name,
                const char *text)
{
    lua_State *L = arg;

    lua_newtable(L);
    set_text(L, "name", slice_of(name));
    set_text(L, "text", slice_of(text));
    set_text(L, "level", level == LOG_ERROR ? S("error") : S("warning"));
    add_to_list(L);
}

/* Copies plain data from the top of one stack to that of the other. */
static void
copy_value(lua_State *from, lua_State *to, unsigned depth)
{
    struct slice text;

    switch (lua_type(from, -1)) {
    case LUA_TBOOLEAN:
        lua_pushboolean(to, lua_toboolean(from, -1));
        return;
    case LUA_TNUMBER:
        lua_pushnumber(to, lua_tonumber(from, -1));
        return;
    case LUA_TSTRING:
        text.ptr = lua_tolstring(from, -1, &text.len);
        lua_pushlstring(to, text.ptr, text.len);
        return;
    case LUA_TTABLE:
        break;
    default:
        lua_pushnil(to);
        return;
    }
    lua_newtable(to);
    if (depth == DEPTH_MAX || !lua_checkstack(from, 3) ||
        !lua_checkstack(to, 3))
        return;
    for (lua_pushnil(from); lua_next(from, -2) != 0; lua_pop(from, 1)) {
        lua_pushvalue(from, -2);
        copy_value(from, to, depth + 1);
        lua_pop(from, 1);
        copy_value(from, to, depth + 1);
        if (lua_isnil(to, -2))
            lua_pop(to, 2);
        else
            lua_rawset(to, -3);
    }
}

/* Calls what moongate.check.listing returns. */
static void
add_listing(struct generation *g, lua_State *L)
{
    lua_State *own = g->vm->L;
    int top = lua_gettop(own);

    vm_core(own, "require");
    lua_pushliteral(own, "moongate.check.listing");
    if (vm_call(g->vm, 1, 1) && vm_call(g->vm, 0, 1))
        copy_value(own, L, 0);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "listing");
    if (!lua_istable(own, -1))
        set_text(L, "failure", slice_of(lua_tostring(own, -1)));
    lua_settop(own, top);
}

void
inspect_generation(struct generation *g, lua_State *L)
{
    lua_newtable(L);
    source_each(g->source, add_file, L);
    lua_setfield(L, -2, "files");
    add_policies(g, L);
    lua_newtable(L);
    if (g->config != NULL)
        certificates_tell(g->config->own, time(NULL), add_certificate, L);
    lua_setfield(L, -2, "certificates");
    add_listing(g, L);
}
