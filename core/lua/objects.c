#include "lua/objects.h"

#include "lua/vm.h"

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

static const char *const type_names[OBJECT_TYPES] = {
    [OBJECT_SECRET] = "moongate.secret",
    [OBJECT_DECISION] = "moongate.decision",
    [OBJECT_SESSION] = "moongate.session",
    [OBJECT_VARS] = "moongate.vars",
    [OBJECT_CREDENTIALS] = "moongate.credentials",
};

void
object_become(lua_State *L, enum object_type type, const luaL_Reg *events,
              const luaL_Reg *methods)
{
    struct object_metatable *m = &vm_of(L)->metatables[type];

    if (m->address == NULL) {
        object_make_type(L, type_names[type], events, methods);
        luaL_getmetatable(L, type_names[type]);
        const void *address = lua_topointer(L, -1);
        m->ref = luaL_ref(L, LUA_REGISTRYINDEX);
        m->address = address; /* none, should luaL_ref have raised */
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->ref);
    (void)lua_setmetatable(L, -2);
}

void *
object_test(lua_State *L, int index, enum object_type type)
{
    void *object = lua_touserdata(L, index);

    if (object == NULL || !lua_getmetatable(L, index))
        return NULL;
    bool same = lua_topointer(L, -1) == vm_of(L)->metatables[type].address;
    lua_pop(L, 1);
    return same ? object : NULL;
}

void *
object_check(lua_State *L, int index, enum object_type type)
{
    void *object = object_test(L, index, type);

    return object != NULL ? object
                          : luaL_checkudata(L, index, type_names[type]);
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
