#include "lua/nginx_import.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/interpreter.h"
#include "lua/values.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_NAME "moongate.nginx.in_memory"
#define TOP         1 /* of the stack: what the module has returned */

struct nginx_import {
    struct host host;
    struct source *library;
    struct vm *vm;
};

static void
set_text(char **text, const char *value)
{
    free(*text);
    value = value != NULL ? value : "out of memory";
    *text = xstrndup(value, strlen(value));
}

/* Leaves require("moongate.nginx.in_memory")[name] on the top. */
static bool
push_function(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, MODULE_NAME);
    if (lua_pcall(L, 1, 1, 0) != 0)
        return false;
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return true;
}

/* Leaves at TOP what was made; else the errors are on the top. */
static bool
convert(lua_State *L, const struct config_order *order)
{
    if (!push_function(L, "read"))
        return false;
    lua_pushstring(L, order->path);
    lua_pushstring(L, order->prefix);
    if (lua_pcall(L, 2, 2, 0) != 0)
        return false;
    if (lua_isnil(L, TOP))
        return false;
    lua_settop(L, TOP);
    return true;
}

struct nginx_import *
nginx_import_read(const struct config_order *order, const struct host *host,
                  const struct share *share, char **errors)
{
    struct nginx_import *import = xcalloc(1, sizeof *import);
    struct error err;

    *errors = NULL;
    import->host = *host;
    import->library = source_of_disk(NULL, NULL, share, NULL);
    import->vm = vm_new(&import->host, import->library, true, &err);
    if (import->vm == NULL) {
        set_text(errors, err.text);
        nginx_import_free(import);
        return NULL;
    }
    interpreter_set_modules(import->vm->L, share);
    lua_settop(import->vm->L, 0);
    if (convert(import->vm->L, order))
        return import;
    set_text(errors, lua_tostring(import->vm->L, -1));
    nginx_import_free(import);
    return NULL;
}

/* Gives `s` each text of the table `key` by its path. */
static void
give_files(lua_State *L, const char *key, enum bundle_kind kind,
           struct source *s)
{
    lua_getfield(L, TOP, key);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        struct slice path, bytes;
        path.ptr = lua_tolstring(L, -2, &path.len);
        bytes.ptr = lua_tolstring(L, -1, &bytes.len);
        source_give(s, kind, path, bytes);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

struct source *
nginx_import_source(const struct nginx_import *import, const char *environment,
                    const struct share *share, struct bundle_writer *w)
{
    lua_State *L = import->vm->L;
    struct slice path = value_text(L, TOP, "path");
    struct source *s = source_of_disk(path.ptr, environment, share, w);

    source_give(s, BUNDLE_CONFIG, path, value_text(L, TOP, "text"));
    give_files(L, "secrets", BUNDLE_DATA, s);
    return s;
}

void
nginx_import_place(struct nginx_import *import, char **errors)
{
    lua_State *L = import->vm->L;

    if (*errors == NULL || !push_function(L, "place"))
        return;
    lua_pushvalue(L, TOP);
    lua_pushstring(L, *errors);
    if (lua_pcall(L, 2, 1, 0) == 0)
        set_text(errors, lua_tostring(L, -1));
    lua_settop(L, TOP);
}

void
nginx_import_free(struct nginx_import *import)
{
    if (import == NULL)
        return;
    vm_free(import->vm);
    source_free(import->library);
    free(import);
}
