#include "lua/regex_lua.h"

#include "base/slice.h"
#include "lua/failure.h"
#include "lua/lasting.h"
#include "lua/policy_lua.h"
#include "lua/regex.h"
#include "lua/vm.h"

#include <lauxlib.h>

#define GROUPS_MAX 100

static void
push_group(lua_State *L, struct slice subject, struct regex_span span)
{
    if (span.from == SIZE_MAX)
        lua_pushboolean(L, 0);
    else /* \K may put the begin behind the end */
        lua_pushlstring(L, subject.ptr + span.from,
                        span.to > span.from ? span.to - span.from : 0);
}

static void
push_captures(lua_State *L, const struct regex *x, struct slice subject,
              const struct regex_span *spans)
{
    const char *name;
    size_t group;

    lua_createtable(L, (int)regex_groups(x), 1);
    for (size_t i = 0; i <= regex_groups(x); i++) {
        push_group(L, subject, spans[i]);
        lua_rawseti(L, -2, (int)i);
    }
    for (size_t i = 0; regex_name(x, i, &name, &group); i++) {
        if (spans[group].from == SIZE_MAX) {
            lua_getfield(L, -1, name); /* of its twin, perhaps */
            bool told = lua_toboolean(L, -1) != 0;
            lua_pop(L, 1);
            if (told)
                continue;
        }
        push_group(L, subject, spans[group]);
        lua_setfield(L, -2, name);
    }
}

static void
push_place(lua_State *L, struct regex_span span)
{
    bool there = span.from != SIZE_MAX;

    lua_pushnumber(L, there ? (lua_Number)span.from + 1 : 0);
    lua_pushnumber(L, there ? (lua_Number)span.to : 0);
}

int
regex_lua_find(lua_State *L)
{
    struct regex_span spans[GROUPS_MAX + 1];
    struct slice subject, pattern, letters;
    struct vm *vm = vm_of(L);
    struct error err;

    subject.ptr = luaL_checklstring(L, 1, &subject.len);
    pattern.ptr = luaL_checklstring(L, 2, &pattern.len);
    letters.ptr = luaL_optlstring(L, 3, "", &letters.len);
    lua_Number from = luaL_optnumber(L, 4, 1);
    luaL_argcheck(L, from >= 1, 4, "at least 1");
    if (from > (lua_Number)subject.len + 1)
        return 0;
    struct regex *x =
        regex_get(&vm->host->lasting->regexes, pattern, letters, &err);
    if (x == NULL)
        return luaL_error(L, "re: %s", err.text);
    lua_Number group = luaL_optnumber(L, 5, 0);
    luaL_argcheck(L, group >= 0 && group <= (lua_Number)regex_groups(x), 5,
                  "there is no such group");
    if (regex_groups(x) > GROUPS_MAX)
        return luaL_error(L, "re: more than %d groups", GROUPS_MAX);
    vm_look_soon(vm);
    switch (regex_find(x, subject, (size_t)from - 1, spans, &err)) {
    case REGEX_NONE:
        return 0;
    case REGEX_FAILED:
        return failure_push(L, FAILURE_OVERLOAD, "re: %s", err.text);
    case REGEX_FOUND:
        break;
    }
    push_captures(L, x, subject, spans);
    push_place(L, spans[(size_t)group]);
    return 3;
}
