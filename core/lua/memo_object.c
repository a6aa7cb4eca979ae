#include "lua/memo_object.h"

#include "base/buf.h"
#include "base/slice.h"
#include "lua/clock.h"
#include "lua/failure.h"
#include "lua/lasting.h"
#include "lua/memo.h"
#include "lua/objects.h"
#include "lua/policy_lua.h"
#include "lua/secret.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define METATABLE     "internal.memo"
#define ARGUMENTS_MAX ((size_t)128 << 10) /* bytes of one call */

struct holder {
    struct memo *memo; /* NULL: it is none yet, or no more */
};

static struct memo *
check_memo(lua_State *L)
{
    const struct holder *h = luaL_checkudata(L, 1, METATABLE);

    return h->memo;
}

/* --- what a function is called with --- */

/* Each kind begins with a letter of its own, and texts with their length, so
 * that no two lists of arguments look alike. */
static bool
add_argument(lua_State *L, int index, struct buf *b)
{
    struct slice text;
    char head[64];
    int len;

    if (lua_type(L, index) != LUA_TNUMBER &&
        secret_or_string(L, index, &text)) {
        char kind = lua_type(L, index) == LUA_TSTRING ? 's' : 'S';
        len = snprintf(head, sizeof head, "%c%zu:", kind, text.len);
        return buf_append(b, (struct slice){head, (size_t)len}) &&
               buf_append(b, text);
    }
    if (lua_type(L, index) == LUA_TNUMBER)
        len = snprintf(head, sizeof head, "n%.17g;", lua_tonumber(L, index));
    else if (lua_type(L, index) == LUA_TBOOLEAN)
        len = snprintf(head, sizeof head, "b%d", lua_toboolean(L, index));
    else if (lua_isnil(L, index))
        len = snprintf(head, sizeof head, "-");
    else
        return false;
    return buf_append(b, (struct slice){head, (size_t)len});
}

/* The arguments behind the store. */
static struct memo_key
check_arguments(lua_State *L)
{
    struct memo_key key;
    struct buf b;
    int last = lua_gettop(L);
    bool fine = true;

    buf_init(&b, ARGUMENTS_MAX);
    memo_digest(S(""), key.first);
    for (int i = 2; i <= last && fine; i++) {
        fine = add_argument(L, i, &b);
        if (i == 2)
            memo_digest(buf_bytes(&b), key.first);
    }
    memo_digest(buf_bytes(&b), key.all);
    buf_deinit(&b);
    if (!fine)
        luaL_error(L, "memoize: only texts, numbers, booleans and Secrets, up "
                      "to 128 KiB together, can be arguments");
    return key;
}

static struct memo_key
check_key(lua_State *L)
{
    struct memo_key key;
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);

    luaL_argcheck(L, len == sizeof key, 2, "a key expected");
    memcpy(&key, text, sizeof key);
    return key;
}

/* --- methods --- */

static int
method_key(lua_State *L)
{
    (void)check_memo(L);
    struct memo_key key = check_arguments(L);

    lua_pushlstring(L, key.all, sizeof key);
    return 1;
}

static int
method_get(lua_State *L)
{
    struct memo *m = check_memo(L);
    struct memo_key key = check_key(L);
    struct slice text = memo_get(m, &key, clock_seconds(L));

    if (text.ptr == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text.ptr, text.len);
    return 1;
}

static int
method_put(lua_State *L)
{
    struct memo *m = check_memo(L);
    struct memo_key key = check_key(L);
    struct slice text;

    text.ptr = luaL_checklstring(L, 3, &text.len);
    memo_put(m, &key, text, clock_seconds(L) + luaL_checknumber(L, 4));
    return 0;
}

static int
method_purges(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)memo_purges(check_memo(L)));
    return 1;
}

/* With one argument: all calls that begin with it. */
static int
method_purge(lua_State *L)
{
    struct memo *m = check_memo(L);

    luaL_checkany(L, 2);
    struct memo_key key = check_arguments(L);
    if (lua_gettop(L) == 2)
        memo_purge_first(m, key.first);
    else
        memo_purge_call(m, &key);
    return 0;
}

static int
method_purge_all(lua_State *L)
{
    memo_purge_all(check_memo(L));
    return 0;
}

static int
collect(lua_State *L)
{
    struct holder *h = luaL_checkudata(L, 1, METATABLE);

    if (h->memo != NULL)
        memo_close(h->memo);
    h->memo = NULL;
    return 0;
}

static const luaL_Reg methods[] = {
    {"key", method_key},
    {"get", method_get},
    {"put", method_put},
    {"purges", method_purges},
    {"purge", method_purge},
    {"purge_all", method_purge_all},
    {NULL, NULL},
};

static const luaL_Reg events[] = {{"__gc", collect}, {NULL, NULL}};

static struct slice
check_name(lua_State *L, int index)
{
    struct slice name;

    name.ptr = luaL_checklstring(L, index, &name.len);
    luaL_argcheck(L, name.len >= 1 && name.len <= MEMO_NAME_MAX, index,
                  "a name of 1 to 63 bytes expected");
    return name;
}

int
memo_object_new(lua_State *L)
{
    struct slice name = check_name(L, 1);
    size_t capacity = (size_t)luaL_checknumber(L, 2);
    struct holder *h = lua_newuserdata(L, sizeof *h);

    h->memo = NULL;
    object_set_type(L, METATABLE, events, methods);
    h->memo = memo_open(vm_of(L)->host->lasting, name, capacity,
                        lua_toboolean(L, 3) != 0);
    if (h->memo == NULL)
        return luaL_error(L, "memoize: there are %d in this worker already",
                          MEMOS_MAX);
    return 1;
}

int
memo_object_purge(lua_State *L)
{
    const struct host *host = vm_of(L)->host;
    struct slice name = check_name(L, 1), key = {0};

    if (!lua_isnoneornil(L, 2)) {
        key.ptr = luaL_checklstring(L, 2, &key.len);
        luaL_argcheck(L, key.len <= MEMO_PURGE_MAX, 2,
                      "a text of up to 1024 bytes expected");
    }
    memos_purge(host->lasting, name, key);
    if (host->purge != NULL && !host->purge(host->arg, name, key))
        return failure_push(L, FAILURE_OVERLOAD,
                            "purge: the other workers could not be told");
    lua_pushboolean(L, 1);
    return 1;
}
