#include "lua/secret.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/counters.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/objects.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define BASE64_MAX ((size_t)64 << 10) /* bytes before it */

/* The bytes follow at once in the same block, so that collecting the userdata
 * (the allocator wipes) takes them along. */
struct secret_object {
    size_t len;
    bool wiped;
    char bytes[];
};

static void
push_object(lua_State *L, struct slice bytes)
{
    struct secret_object *o = lua_newuserdata(L, sizeof *o + bytes.len + 1);

    o->len = bytes.len;
    o->wiped = false;
    if (bytes.len > 0)
        memcpy(o->bytes, bytes.ptr, bytes.len);
    o->bytes[bytes.len] = '\0';
}

static struct secret_object *
check_alive(lua_State *L)
{
    struct secret_object *o = object_check(L, 1, OBJECT_SECRET);

    if (o->wiped)
        luaL_error(L, "this secret was wiped");
    return o;
}

static int
equals(lua_State *L)
{
    struct secret_object *o = check_alive(L);
    struct slice other;

    if (!secret_or_string(L, 2, &other))
        return luaL_argerror(L, 2, "a string or a secret expected");
    lua_pushboolean(L, digest_equal((struct slice){o->bytes, o->len}, other));
    return 1;
}

/* HMAC-SHA-256 of the secret under a key, as 64 hexadecimal digits: a name
 * for the secret that can be logged or looked up. */
static int
hmac(lua_State *L)
{
    struct secret_object *o = check_alive(L);
    struct slice key;
    char hex[65];

    if (!secret_or_string(L, 2, &key))
        return luaL_argerror(L, 2, "a string or a secret expected");
    digest_hmac_sha256(key, (struct slice){o->bytes, o->len}, hex);
    lua_pushlstring(L, hex, 64);
    return 1;
}

/* SHA-256 of the arguments, strings or secrets, with the secret behind them, as
 * 64 hexadecimal digits: what others who know them work out as well. */
static int
sha256(lua_State *L)
{
    struct secret_object *o = check_alive(L);
    int last = lua_gettop(L);
    struct slice bytes;
    struct buf all;
    char hex[64];

    size_t size = o->len;
    for (int i = 2; i <= last; i++) {
        if (!secret_or_string(L, i, &bytes))
            return luaL_argerror(L, i, "a string or a secret expected");
        size += bytes.len;
    }
    buf_init(&all, size);
    bool ok = true;
    for (int i = 2; i <= last; i++)
        ok = secret_or_string(L, i, &bytes) && buf_append(&all, bytes) && ok;
    ok = buf_append(&all, (struct slice){o->bytes, o->len}) && ok;
    require(ok); /* it is as large as they are */
    digest_sha256(buf_bytes(&all), hex);
    buf_deinit(&all);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

static int
len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_alive(L)->len);
    return 1;
}

static int
reveal(lua_State *L)
{
    struct secret_object *o = check_alive(L);
    const struct vm *vm = vm_of(L);

    counters_count(vm_counters(vm), "secret_reveals_total{policy=\"%s\"}",
                   vm->running != NULL ? vm->running->policy : "");
    lua_pushlstring(L, o->bytes, o->len);
    return 1;
}

static int
redacted(lua_State *L)
{
    lua_pushliteral(L, "secret(redacted)");
    return 1;
}

static int
refuse(lua_State *L)
{
    return luaL_error(L, "a secret can't be joined, compared or changed: pass "
                         "it on, or use :equals, :hmac or :reveal");
}

static const luaL_Reg methods[] = {
    {"equals", equals}, {"hmac", hmac},     {"sha256", sha256},
    {"len", len},       {"reveal", reveal}, {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__tostring", redacted},
    {"__concat", refuse},
    {"__lt", refuse},
    {"__le", refuse},
    {"__newindex", refuse},
    {"__len", refuse},
    {NULL, NULL},
};

void
secret_push(lua_State *L, struct slice bytes)
{
    push_object(L, bytes);
    object_become(L, OBJECT_SECRET, events, methods);
}

bool
secret_or_string(lua_State *L, int index, struct slice *bytes)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        bytes->ptr = lua_tolstring(L, index, &bytes->len);
        return true;
    }
    struct secret_object *o = object_test(L, index, OBJECT_SECRET);
    if (o == NULL || o->wiped)
        return false;
    *bytes = (struct slice){o->bytes, o->len};
    return true;
}

void
secret_wipe(lua_State *L, int index)
{
    struct secret_object *o = object_test(L, index, OBJECT_SECRET);

    if (o == NULL)
        return;
    explicit_bzero(o->bytes, o->len);
    o->wiped = true;
}

int
secret_base64(lua_State *L)
{
    struct slice part;
    struct buf joined;
    bool fine = true;

    buf_init(&joined, BASE64_MAX);
    for (int i = 1; fine && i <= lua_gettop(L); i++)
        fine = secret_or_string(L, i, &part) && buf_append(&joined, part);
    size_t size = base64_encoded_len(buf_len(&joined));
    char *text = xmalloc(size + 1);
    base64_encode(buf_bytes(&joined), text);
    buf_deinit(&joined);
    if (fine)
        secret_push(L, (struct slice){text, size});
    explicit_bzero(text, size);
    free(text);
    return fine ? 1
                : luaL_error(L, "texts and secrets of up to 64 KiB expected");
}
