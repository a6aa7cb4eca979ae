#include "lua/log_lua.h"

#include "base/log.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/objects.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX  2000
#define VALUE_MAX 512

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};

/* A string or a number; anything else, a secret above all, raises. */
static struct slice
plain_text(lua_State *L, int index, const char *what)
{
    struct slice text = {"", 0};

    if (object_test(L, index, OBJECT_SECRET) != NULL)
        luaL_error(L, "log: a secret can't be logged (%s)", what);
    if (lua_type(L, index) == LUA_TBOOLEAN)
        return lua_toboolean(L, index) ? S("true") : S("false");
    if (lua_isnil(L, index))
        return S("nil");
    if (luaL_callmeta(L, index, "__tostring") != 0)
        lua_replace(L, index);
    if (!lua_isstring(L, index))
        luaL_error(L, "log: %s must be text or a number, not a %s", what,
                   luaL_typename(L, index));
    /* A copy, since lua_next must not see a key change its type. */
    lua_pushvalue(L, index);
    text.ptr = lua_tolstring(L, -1, &text.len);
    lua_replace(L, index);
    return text;
}

static void
append(char text[TEXT_MAX], const char *more)
{
    size_t used = strlen(text);
    (void)snprintf(text + used, TEXT_MAX - used, "%s", more);
}

static void
append_fields(lua_State *L, int index, char text[TEXT_MAX])
{
    char value[VALUE_MAX], field[VALUE_MAX + 80];

    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "log: the names of fields must be text");
        struct slice bytes = plain_text(L, lua_gettop(L), "a field");
        (void)snprintf(field, sizeof field, " %.64s=\"%s\"",
                       lua_tostring(L, -2),
                       log_escape(bytes, value, sizeof value));
        append(text, field);
        lua_pop(L, 1);
    }
}

void
log_from_lua(lua_State *L, int index, const char *prefix)
{
    enum log_level level =
        (enum log_level)luaL_checkoption(L, index, NULL, levels);
    char message[TEXT_MAX], text[TEXT_MAX] = "";
    const struct call *c = vm_of(L)->running;

    append(text, prefix);
    luaL_checkany(L, index + 1);
    struct slice bytes = plain_text(L, index + 1, "the message");
    append(text, log_escape(bytes, message, sizeof message));
    append_fields(L, index + 2, text);
    if (c != NULL)
        call_redact(c, text);
    log_write(level, "%s", text);
}
