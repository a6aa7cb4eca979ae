#include "lua/client_certificate.h"

#include "lua/objects.h"
#include "lua/secret.h"
#include "net/tls_pem.h"

#include <lauxlib.h>
#include <openssl/evp.h>

#define CERTIFICATE "moongate.client_certificate"
#define KEY         "moongate.client_key"

/* Userdata. */
struct certificate {
    STACK_OF(X509) * chain;
};

struct key {
    EVP_PKEY *key;
};

static int
certificate_gc(lua_State *L)
{
    struct certificate *c = luaL_checkudata(L, 1, CERTIFICATE);

    sk_X509_pop_free(c->chain, X509_free);
    c->chain = NULL;
    return 0;
}

static int
key_gc(lua_State *L)
{
    struct key *k = luaL_checkudata(L, 1, KEY);

    EVP_PKEY_free(k->key);
    k->key = NULL;
    return 0;
}

static void
set_type(lua_State *L, const char *name, lua_CFunction gc)
{
    if (luaL_newmetatable(L, name) != 0) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

static int
push_error(lua_State *L, const char *text)
{
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
}

/* false with words. */
static bool
read_pem(lua_State *L, struct slice *pem, struct error *err)
{
    if (!secret_or_string(L, 1, pem))
        (void)luaL_argerror(L, 1, "PEM is expected, as a string or Secret");
    return pem->len <= CLIENT_PEM_MAX ||
           error_set(err, "more than %d bytes of PEM", CLIENT_PEM_MAX);
}

/* The userdata comes first: it raises when memory is short. */
int
client_certificate_parse(lua_State *L)
{
    struct certificate *c = lua_newuserdata(L, sizeof *c);
    struct slice pem;
    struct error err;

    *c = (struct certificate){NULL};
    set_type(L, CERTIFICATE, certificate_gc);
    if (read_pem(L, &pem, &err))
        c->chain = tls_pem_certificates(pem, &err);
    return c->chain != NULL ? 1 : push_error(L, err.text);
}

int
client_key_parse(lua_State *L)
{
    struct key *k = lua_newuserdata(L, sizeof *k);
    struct secret pem;
    struct error err;

    *k = (struct key){NULL};
    set_type(L, KEY, key_gc);
    if (read_pem(L, &pem.bytes, &err))
        k->key = tls_pem_key(pem, &(struct tls_passphrases){NULL, 0}, &err);
    return k->key != NULL ? 1 : push_error(L, err.text);
}

int
client_certificate_kind(lua_State *L)
{
    if (luaL_testudata(L, 1, CERTIFICATE) != NULL)
        lua_pushliteral(L, "certificate");
    else if (luaL_testudata(L, 1, KEY) != NULL)
        lua_pushliteral(L, "key");
    else
        lua_pushnil(L);
    return 1;
}

struct tls_identity *
client_certificate_identity(lua_State *L, int certificate, int key,
                            struct error *err)
{
    const struct certificate *c = luaL_checkudata(L, certificate, CERTIFICATE);
    const struct key *k = luaL_checkudata(L, key, KEY);

    if (c->chain == NULL)
        (void)luaL_argerror(L, certificate, "there is no certificate in it");
    if (k->key == NULL)
        (void)luaL_argerror(L, key, "there is no key in it");
    return tls_identity_of(c->chain, k->key, err);
}
