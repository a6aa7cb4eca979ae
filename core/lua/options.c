#include "lua/options.h"

#include "lua/await.h"
#include "lua/objects.h"
#include "lua/secret.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>

static bool
is_among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

void
options_thaw(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return;
    lua_getfield(L, -1, "__index");
    if (lua_istable(L, -1))
        lua_replace(L, index);
    else
        lua_pop(L, 1);
    lua_pop(L, 1);
}

struct options
options_check(lua_State *L, int index, const char *what,
              const char *const *names)
{
    struct options o = {L, index, what};

    if (lua_isnoneornil(L, index))
        return o;
    luaL_checktype(L, index, LUA_TTABLE);
    options_thaw(L, index);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            (void)luaL_error(L, "%s: options have names", what);
        if (!is_among(lua_tostring(L, -1), names))
            (void)object_unknown(L, what, lua_tostring(L, -1), names);
    }
    return o;
}

bool
option_push(const struct options *o, const char *name)
{
    if (!lua_istable(o->L, o->index)) {
        lua_pushnil(o->L);
        return false;
    }
    lua_getfield(o->L, o->index, name);
    return !lua_isnil(o->L, -1);
}

double
option_number(const struct options *o, const char *name,
              struct option_range range)
{
    double value = range.otherwise;

    if (option_push(o, name)) {
        value = lua_tonumber(o->L, -1);
        if (lua_type(o->L, -1) != LUA_TNUMBER || !(value >= range.min) ||
            value > range.max)
            (void)luaL_error(o->L, "%s: %s must be a number from %f to %f",
                             o->what, name, range.min, range.max);
    }
    lua_pop(o->L, 1);
    return value;
}

bool
option_bool(const struct options *o, const char *name, bool otherwise)
{
    bool value = otherwise;

    if (option_push(o, name)) {
        if (!lua_isboolean(o->L, -1))
            (void)luaL_error(o->L, "%s: %s must be true or false", o->what,
                             name);
        value = lua_toboolean(o->L, -1) != 0;
    }
    lua_pop(o->L, 1);
    return value;
}

bool
option_bytes(const struct options *o, const char *name, struct slice *bytes)
{
    bool there = option_push(o, name);

    if (there && !secret_or_string(o->L, -1, bytes))
        (void)luaL_error(o->L, "%s: %s must be a string or a Secret", o->what,
                         name);
    return there;
}

double
time_within(lua_State *L, double wanted)
{
    double left = await_time_left(L);

    /* The budget's own timer must be the first: it cancels the hook, where an
     * operation that timed out by itself would let the hook go on deciding. */
    if (left < wanted)
        wanted = left + 1;
    return wanted > 0.001 ? wanted : 0.001;
}

const struct host *
host_or_raise(lua_State *L)
{
    const struct vm *vm = vm_of(L);

    if (vm->running == NULL || vm->host == NULL || vm->host->loop == NULL)
        (void)luaL_error(L, "await in module top level: move it into init()");
    return vm->host;
}
