/* mod_file.c -- `moongate.file`: map(path, opts), a table in a text file, and
 * read(path), a whole file.
 *
 * The file is read when the configuration is, and is part of it: workers find
 * it in their bundle and open nothing.  A bad file is an error of the
 * configuration, with its path and line. */
#include "base/slice.h"
#include "lua/file_table.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/source.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>

#define METATABLE  "moongate.file"
#define FIELDS_MAX 32

struct file_map {
    struct file_table *table;
    struct file_layout layout;
};

static struct file_map *
check_map(lua_State *L)
{
    return luaL_checkudata(L, 1, METATABLE);
}

/* Pushes the row as a table; the names of the fields are in the userdata's
 * environment. */
static void
push_row(lua_State *L, const struct file_map *m, const struct file_row *row)
{
    struct slice rest = row->rest;

    lua_createtable(L, 0, (int)m->layout.fields);
    lua_getfenv(L, 1);
    for (size_t i = 0; i < m->layout.fields; i++) {
        struct slice field = row->key;
        if (i > 0)
            field = i + 1 < m->layout.fields
                        ? slice_cut(&rest, m->layout.separator)
                        : rest;
        if (field.len == 0)
            continue;
        lua_rawgeti(L, -1, (int)i + 1);
        lua_pushlstring(L, field.ptr, field.len);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
}

static int
map_get(lua_State *L)
{
    const struct file_map *m = check_map(L);
    struct slice key;

    key.ptr = luaL_checklstring(L, 2, &key.len);
    const struct file_row *row = file_table_find(m->table, key);
    if (row == NULL)
        lua_pushnil(L);
    else
        push_row(L, m, row);
    return 1;
}

static int
map_first(lua_State *L)
{
    const struct file_map *m = check_map(L);

    if (file_table_count(m->table) == 0)
        lua_pushnil(L);
    else
        push_row(L, m, file_table_at(m->table, 0));
    return 1;
}

static int
map_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)file_table_count(check_map(L)->table));
    return 1;
}

static int
map_gc(lua_State *L)
{
    struct file_map *m = check_map(L);

    file_table_free(m->table);
    m->table = NULL;
    return 0;
}

static char
read_separator(const struct options *o)
{
    char separator = ':';

    if (option_push(o, "separator")) {
        size_t len;
        const char *text = luaL_checklstring(o->L, -1, &len);
        if (len != 1 || *text == '\n' || *text == '\r' || *text == '\0')
            (void)luaL_error(o->L, "file.map: separator must be one byte");
        separator = *text;
    }
    lua_pop(o->L, 1);
    return separator;
}

/* Pushes the list of names, checked, as a table of its own. */
static size_t
push_fields(const struct options *o)
{
    lua_State *L = o->L;

    if (!option_push(o, "fields"))
        (void)luaL_error(L, "file.map: `fields` is missing");
    int list = lua_gettop(L);
    options_thaw(L, list);
    size_t count = lua_istable(L, list) ? lua_objlen(L, list) : 0;
    if (count < 1 || count > FIELDS_MAX)
        (void)luaL_error(L, "file.map: fields must be 1 to %d names",
                         FIELDS_MAX);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, list, (int)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            (void)luaL_error(L, "file.map: fields must be names");
        lua_rawseti(L, -2, (int)i);
    }
    lua_replace(L, list);
    return count;
}

static void
load(lua_State *L, struct slice path, struct file_map *m)
{
    struct source_file file;
    struct error err;

    if (!source_data(vm_of(L)->source, path, &file, &err))
        (void)luaL_error(L, "file.map: %s", err.text);
    m->table = file_table_new(file.bytes, &m->layout, &err);
    if (m->table == NULL) {
        lua_pushlstring(L, file.path.ptr, file.path.len);
        (void)lua_pushfstring(L, "%s:%s", lua_tostring(L, -1), err.text);
        (void)lua_error(L);
    }
}

static int
file_map(lua_State *L)
{
    static const char *const names[] = {"separator", "fields", "required",
                                        NULL};
    struct slice path;

    path.ptr = luaL_checklstring(L, 1, &path.len);
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct options o = options_check(L, 2, "file.map", names);

    struct file_map *m = lua_newuserdata(L, sizeof(*m));
    memset(m, 0, sizeof(*m));
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, 3);
    m->layout.separator = read_separator(&o);
    m->layout.fields = push_fields(&o);
    lua_setfenv(L, 3);
    double most = (double)m->layout.fields;
    m->layout.required = (size_t)option_number(
        &o, "required", (struct option_range){most < 2 ? 1 : 2, 1, most});
    load(L, path, m);
    return 1;
}

static int
file_read(lua_State *L)
{
    struct source_file file;
    struct error err;
    struct slice path;

    path.ptr = luaL_checklstring(L, 1, &path.len);
    if (!source_data(vm_of(L)->source, path, &file, &err))
        return luaL_error(L, "file.read: %s", err.text);
    lua_pushlstring(L, file.bytes.ptr, file.bytes.len);
    return 1;
}

int
mod_file_open(lua_State *L)
{
    static const luaL_Reg events[] = {
        {"__gc", map_gc}, {"__len", map_len}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"get", map_get}, {"first", map_first}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"map", file_map}, {"read", file_read}, {NULL, NULL}};

    object_make_type(L, METATABLE, events, methods);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
