#include "lua/objects.h"

#include <string.h>

#define NAME_MAX_BYTES 63

void
object_make_type(lua_State *L, const char *name, const luaL_Reg *events,
                 const luaL_Reg *methods)
{
    if (luaL_newmetatable(L, name) != 0) {
        if (methods != NULL) {
            lua_newtable(L);
            luaL_register(L, NULL, methods);
            lua_setfield(L, -2, "__index");
        }
        luaL_register(L, NULL, events);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void
object_set_type(lua_State *L, const char *name, const luaL_Reg *events,
                const luaL_Reg *methods)
{
    luaL_getmetatable(L, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        object_make_type(L, name, events, methods);
        luaL_getmetatable(L, name);
    }
    (void)lua_setmetatable(L, -2);
}

void *
object_test(lua_State *L, int index, const char *name)
{
    void *object = lua_touserdata(L, index);

    if (object == NULL || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, name);
    bool same = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    return same ? object : NULL;
}

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein, one row at a time. */
static size_t
edits(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1], len = strlen(b);

    if (strlen(a) > NAME_MAX_BYTES || len > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(change, least(diagonal, row[j]) + 1);
        }
    }
    return row[len];
}

const char *
nearest_name(const char *wanted, const char *const *names)
{
    const char *best = NULL;
    size_t fewest = strlen(wanted) > 3 ? 3 : 2;

    for (; *names != NULL; names++) {
        size_t n = edits(wanted, *names);
        if (n < fewest) {
            fewest = n;
            best = *names;
        }
    }
    return best;
}

/* Pushes "user, upstream, log". */
static void
push_names(lua_State *L, const char *const *names)
{
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    for (size_t i = 0; names[i] != NULL; i++) {
        if (i > 0)
            luaL_addstring(&b, ", ");
        luaL_addstring(&b, names[i]);
    }
    luaL_pushresult(&b);
}

int
object_unknown(lua_State *L, const char *what, const char *field,
               const char *const *names)
{
    const char *near = nearest_name(field, names);

    if (near == NULL) {
        push_names(L, names);
        return luaL_error(L, "%s: unknown field \"%s\" (there are %s)", what,
                          field, lua_tostring(L, -1));
    }
    return luaL_error(L, "%s: unknown field \"%s\" (did you mean \"%s\"?)",
                      what, field, near);
}
