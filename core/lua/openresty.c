#include "lua/openresty.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/secret.h"
#include "lua/source.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <unistd.h>

/* A string or a Secret. */
static struct slice
check_text(lua_State *L, int index)
{
    struct slice text = S("");

    if (lua_type(L, index) == LUA_TNUMBER)
        (void)lua_tostring(L, index);
    if (!secret_or_string(L, index, &text))
        (void)luaL_argerror(L, index, "a string or a Secret expected");
    return text;
}

static int
push_hex(lua_State *L, bool done, const char *hex, size_t len)
{
    if (!done)
        return luaL_error(L, "OpenSSL refuses this digest");
    lua_pushlstring(L, hex, len);
    return 1;
}

int
openresty_md5(lua_State *L)
{
    char hex[32];
    bool done = digest_md5(check_text(L, 1), S(""), hex);

    return push_hex(L, done, hex, sizeof hex);
}

int
openresty_sha1(lua_State *L)
{
    char hex[40];
    bool done = digest_sha1(check_text(L, 1), hex);

    return push_hex(L, done, hex, sizeof hex);
}

int
openresty_hmac_sha1(lua_State *L)
{
    char hex[40];
    bool done = digest_hmac_sha1(check_text(L, 1), check_text(L, 2), hex);

    return push_hex(L, done, hex, sizeof hex);
}

int
openresty_crc32(lua_State *L)
{
    struct slice text = check_text(L, 1);
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    lua_pushnumber(L, ~crc);
    return 1;
}

int
openresty_encode_base64(lua_State *L)
{
    struct slice text = check_text(L, 1);
    size_t len = base64_encoded_len(text.len);
    char *out = lua_newuserdata(L, len + 1);

    base64_encode(text, out);
    lua_pushlstring(L, out, len);
    return 1;
}

int
openresty_decode_base64(lua_State *L)
{
    struct slice text = check_text(L, 1);
    char *out = lua_newuserdata(L, text.len + 1);
    size_t len;

    if (!base64_decode(text, out, &len))
        return 0;
    lua_pushlstring(L, out, len);
    return 1;
}

int
openresty_worker(lua_State *L)
{
    const struct host *host = host_of(L);

    lua_pushinteger(L, host != NULL ? (lua_Integer)host->worker : 0);
    lua_pushinteger(L, getpid());
    lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
    return 3;
}

int
openresty_prefix(lua_State *L)
{
    struct slice folder;

    if (!source_base(vm_of(L)->source, &folder)) {
        lua_pushliteral(L, "");
        return 1;
    }
    lua_pushlstring(L, folder.ptr, folder.len);
    lua_pushliteral(L, "/");
    lua_concat(L, 2);
    return 1;
}
