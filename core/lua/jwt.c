#include "lua/jwt.h"

#include "base/base64.h"
#include "base/slice.h"
#include "lua/jwt_key.h"
#include "lua/secret.h"
#include "proto/sasl_token.h"

#include <lauxlib.h>
#include <openssl/err.h>

#define HEADER_MAX    4096
#define SIGNATURE_MAX 1024 /* bytes: RSA of 8192 bits */

/* The three parts, still in base64url. */
struct parts {
    struct slice header, payload, signature;
    struct slice signed_text; /* the first two with their dot */
};

static bool
split(struct slice token, struct parts *p)
{
    struct slice rest = token;

    if (token.len > TOKEN_MAX)
        return false;
    p->header = slice_cut(&rest, '.');
    p->payload = slice_cut(&rest, '.');
    p->signature = rest;
    p->signed_text = slice_take(token, p->header.len + 1 + p->payload.len);
    return p->header.len > 0 && p->payload.len > 0 && rest.len > 0 &&
           slice_find(rest, '.') == rest.len;
}

/* nil, why: a token's own fault, which is no failure of ours. */
static int
refuse(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static struct slice
check_token(lua_State *L, int index)
{
    struct slice token;

    if (!secret_or_string(L, index, &token))
        (void)luaL_argerror(L, index, "a Secret or a string is expected");
    return token;
}

/* Pushes what the part holds; false if it is not base64url. */
static bool
push_part(lua_State *L, struct slice part)
{
    size_t len;
    /* Memory of Lua's, so that nothing leaks if it raises. */
    char *bytes = lua_newuserdata(L, part.len);

    if (!base64url_decode(part, bytes, &len))
        return false;
    lua_pushlstring(L, bytes, len);
    return true;
}

int
jwt_open(lua_State *L)
{
    struct parts p;

    if (!split(check_token(L, 1), &p) || p.header.len > HEADER_MAX)
        return refuse(L, "malformed");
    if (!push_part(L, p.header))
        return refuse(L, "malformed");
    lua_insert(L, 2);
    if (!push_part(L, p.payload))
        return refuse(L, "malformed");
    lua_pushvalue(L, 2);
    lua_insert(L, -2);
    return 2;
}

int
jwt_key(lua_State *L)
{
    static const char *const names[] = {"RS256", "ES256", "EdDSA", NULL};
    enum jwt_algorithm algorithm =
        (enum jwt_algorithm)luaL_checkoption(L, 1, NULL, names);
    struct jwt_members m = {0};
    struct {
        const char *name;
        struct slice *value;
    } const members[] = {
        {"n", &m.n}, {"e", &m.e}, {"crv", &m.curve}, {"x", &m.x}, {"y", &m.y}};

    luaL_checktype(L, 2, LUA_TTABLE);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        lua_getfield(L, 2, members[i].name);
        if (lua_type(L, -1) == LUA_TSTRING)
            members[i].value->ptr =
                lua_tolstring(L, -1, &members[i].value->len);
    }
    struct jwt_key *key = jwt_key_push(L);
    key->algorithm = algorithm;
    key->key = jwt_key_build(algorithm, &m);
    ERR_clear_error();
    return key->key != NULL ? 1 : refuse(L, "not a key of this algorithm");
}

int
jwt_key_pem(lua_State *L)
{
    static const char *const names[] = {
        [JWT_RS256] = "RS256", [JWT_ES256] = "ES256", [JWT_EDDSA] = "EdDSA"};
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    if (len > JWT_PEM_MAX)
        return refuse(L, "longer than 64 KiB");
    struct jwt_key *key = jwt_key_push(L);
    key->key = jwt_key_read((struct slice){text, len}, &key->algorithm);
    ERR_clear_error();
    if (key->key == NULL)
        return refuse(L, "not the public key of RS256, ES256 or EdDSA");
    lua_pushstring(L, names[key->algorithm]);
    return 2;
}

int
jwt_is_signed(lua_State *L)
{
    const struct jwt_key *key = jwt_key_check(L, 1);
    char signature[SIGNATURE_MAX];
    struct parts p;
    size_t len;
    bool ok;

    ok = split(check_token(L, 2), &p) &&
         p.signature.len / 4 * 3 + 2 <= sizeof signature &&
         base64url_decode(p.signature, signature, &len) &&
         jwt_key_signed(key, p.signed_text, (struct slice){signature, len});
    ERR_clear_error();
    lua_pushboolean(L, ok);
    return 1;
}
