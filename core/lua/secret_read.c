#include "lua/secret_read.h"

#include "base/slice.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/secret_fetch.h"
#include "lua/source.h"
#include "lua/vm.h"

#include <lauxlib.h>

#define WORDS_MAX       ((size_t)4096)
#define TIMEOUT_DEFAULT 10. /* seconds */
#define TIMEOUT_MAX     30.

static int
push_failure(lua_State *L, const char *text)
{
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
}

static struct slice
first_line(struct slice text)
{
    struct slice line = slice_take(text, slice_find(text, '\n'));

    (void)slice_drop_suffix(&line, S("\r"));
    return line;
}

int
secret_read_file(lua_State *L)
{
    struct slice path;
    struct source_file file;
    struct error err;

    path.ptr = luaL_checklstring(L, 1, &path.len);
    if (!source_data(vm_of(L)->source, path, &file, &err))
        return push_failure(L, err.text);
    secret_push(L, first_line(file.bytes));
    return 1;
}

/* The name is on the top. */
static int
push_fetched(lua_State *L)
{
    struct slice name;
    struct source_file file;
    struct error err;

    name.ptr = lua_tolstring(L, -1, &name.len);
    if (!source_secret(vm_of(L)->source, name, &file, &err))
        return push_failure(L, err.text);
    struct slice line = first_line(file.bytes);
    if (line.len == 0)
        return push_failure(L, "its first line is empty");
    secret_push(L, line);
    return 1;
}

static bool
is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        bool digit = c >= '0' && c <= '9' && i > 0;
        if (!digit && c != '_' && (c < 'a' || c > 'z'))
            return false;
    }
    return s.len > 0 && s.len < 200;
}

int
secret_read_variable(lua_State *L)
{
    struct slice name;

    name.ptr = luaL_checklstring(L, 1, &name.len);
    if (!is_name(name))
        return push_failure(L, "the name of an environment variable expected");
    lua_settop(L, 1);
    lua_pushliteral(L, SECRET_VARIABLE);
    lua_insert(L, 1);
    lua_concat(L, 2);
    return push_fetched(L);
}

/* A word that is handed to the program as it is. */
static bool
is_word(struct slice s)
{
    return s.ptr != NULL && slice_find(s, '\0') == s.len &&
           slice_find(s, SECRET_SEPARATOR) == s.len;
}

/* The table at index 1 has words, and no names but one. */
static void
check_names(lua_State *L)
{
    static const char *const names[] = {"timeout", NULL};

    options_thaw(L, 1);
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING &&
            strcmp(lua_tostring(L, -2), names[0]) != 0)
            (void)object_unknown(L, "secret.command", lua_tostring(L, -2),
                                 names);
    }
}

/* Of the table at index 1. */
static double
timeout_of(lua_State *L)
{
    lua_getfield(L, 1, "timeout");
    double seconds = lua_isnil(L, -1) ? TIMEOUT_DEFAULT : lua_tonumber(L, -1);
    lua_pop(L, 1);
    return seconds;
}

int
secret_read_command(lua_State *L)
{
    luaL_Buffer name;
    size_t total = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    check_names(L);
    int count = (int)lua_objlen(L, 1);
    double timeout = timeout_of(L);
    if (!(timeout >= 0.01 && timeout <= TIMEOUT_MAX))
        return push_failure(L, "timeout: seconds expected, at most 30");
    luaL_buffinit(L, &name);
    lua_pushfstring(L, SECRET_COMMAND "%d", (int)(timeout * 1000));
    luaL_addvalue(&name);
    for (int i = 1; i <= count; i++) {
        struct slice word = {0};
        luaL_addchar(&name, SECRET_SEPARATOR);
        lua_rawgeti(L, 1, i);
        if (lua_type(L, -1) == LUA_TSTRING)
            word.ptr = lua_tolstring(L, -1, &word.len);
        total += word.len;
        if (!is_word(word) || total > WORDS_MAX)
            return push_failure(L, "texts expected: a program, its arguments");
        luaL_addvalue(&name);
    }
    luaL_pushresult(&name);
    if (count == 0)
        return push_failure(L, "a program and its arguments expected");
    return push_fetched(L);
}
