#include "lua/jwt_key.h"

#include "base/base64.h"
#include "base/slice.h"

#include <lauxlib.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#define METATABLE "moongate.jwt.key"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

/* 65537 has three bytes; a huge exponent is a cheap way to keep us busy. */
#define EXPONENT_MAX 4

#define COORDINATE 32 /* bytes, of P-256 and Ed25519 */

/* Exactly `size` bytes. */
static bool
decode_exactly(struct slice text, unsigned char *out, size_t size)
{
    char bytes[2 * COORDINATE];
    size_t len;

    if (text.len > sizeof bytes || !base64url_decode(text, bytes, &len) ||
        len != size)
        return false;
    memcpy(out, bytes, size);
    return true;
}

static BIGNUM *
decode_number(struct slice text, size_t max)
{
    char bytes[2 * RSA_BITS_MAX / 8];
    size_t len;

    if (text.len == 0 || text.len > sizeof bytes ||
        !base64url_decode(text, bytes, &len) || len > max)
        return NULL;
    return BN_bin2bn((const unsigned char *)bytes, (int)len, NULL);
}

/* The key that `build` describes, or NULL. */
static EVP_PKEY *
make(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || context == NULL ||
        EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

/* Also that a point is on its curve. */
static bool
is_valid(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool ok = context != NULL && EVP_PKEY_public_check(context) > 0;

    EVP_PKEY_CTX_free(context);
    return ok;
}

static bool
is_fit_rsa(EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    int bits = EVP_PKEY_get_bits(key);
    bool ok = bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX &&
              EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) > 0 &&
              BN_num_bytes(e) <= EXPONENT_MAX && BN_is_odd(e) && !BN_is_one(e);

    BN_free(e);
    return ok;
}

static bool
is_fit_ec(EVP_PKEY *key)
{
    char group[32];
    size_t len;

    return EVP_PKEY_get_group_name(key, group, sizeof group, &len) > 0 &&
           strcmp(group, "prime256v1") == 0 && is_valid(key);
}

static bool
is_fit(EVP_PKEY *key, enum jwt_algorithm algorithm)
{
    switch (algorithm) {
    case JWT_RS256:
        return EVP_PKEY_is_a(key, "RSA") && is_fit_rsa(key);
    case JWT_ES256:
        return EVP_PKEY_is_a(key, "EC") && is_fit_ec(key);
    case JWT_EDDSA:
        return EVP_PKEY_is_a(key, "ED25519") != 0;
    }
    return false;
}

static EVP_PKEY *
build_rsa(const struct jwt_members *m)
{
    BIGNUM *n = decode_number(m->n, RSA_BITS_MAX / 8);
    BIGNUM *e = decode_number(m->e, EXPONENT_MAX);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (n != NULL && e != NULL && build != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) > 0 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) > 0)
        key = make("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *
build_ec(const struct jwt_members *m)
{
    unsigned char point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
    EVP_PKEY *key = NULL;

    if (!slice_equal(m->curve, S("P-256")) ||
        !decode_exactly(m->x, point + 1, COORDINATE) ||
        !decode_exactly(m->y, point + 1 + COORDINATE, COORDINATE))
        return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
                                        "prime256v1", 0) > 0 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         sizeof point) > 0)
        key = make("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *
build_ed25519(const struct jwt_members *m)
{
    unsigned char bytes[COORDINATE];

    if (!slice_equal(m->curve, S("Ed25519")) ||
        !decode_exactly(m->x, bytes, sizeof bytes))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes,
                                       sizeof bytes);
}

EVP_PKEY *
jwt_key_build(enum jwt_algorithm algorithm, const struct jwt_members *m)
{
    EVP_PKEY *key = algorithm == JWT_RS256   ? build_rsa(m)
                    : algorithm == JWT_ES256 ? build_ec(m)
                                             : build_ed25519(m);

    if (key == NULL || is_fit(key, algorithm))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

EVP_PKEY *
jwt_key_read(struct slice pem, enum jwt_algorithm *algorithm)
{
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key =
        in == NULL ? NULL : PEM_read_bio_PUBKEY(in, NULL, NULL, NULL);

    BIO_free(in);
    for (int a = JWT_RS256; key != NULL && a <= JWT_EDDSA; a++) {
        *algorithm = (enum jwt_algorithm)a;
        if (is_fit(key, *algorithm))
            return key;
    }
    EVP_PKEY_free(key);
    return NULL;
}

/* JOSE has the two numbers side by side (RFC 7518 3.4), OpenSSL wants DER;
 * its length, and `*der` to be freed. */
static int
encode_ecdsa(struct slice signature, unsigned char **der)
{
    const unsigned char *bytes = (const unsigned char *)signature.ptr;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r, *s;
    int len = -1;

    if (pair == NULL || signature.len != (size_t)2 * COORDINATE) {
        ECDSA_SIG_free(pair);
        return -1;
    }
    r = BN_bin2bn(bytes, COORDINATE, NULL);
    s = BN_bin2bn(bytes + COORDINATE, COORDINATE, NULL);
    if (r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) > 0) {
        len = i2d_ECDSA_SIG(pair, der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return len;
}

static bool
verify(const struct jwt_key *key, struct slice text,
       const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options;
    const char *digest = key->algorithm == JWT_EDDSA ? NULL : "SHA256";
    bool ok = context != NULL &&
              EVP_DigestVerifyInit_ex(context, &options, digest, NULL, NULL,
                                      key->key, NULL) > 0;

    if (ok && key->algorithm == JWT_RS256)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PADDING) > 0;
    ok = ok && EVP_DigestVerify(context, signature, len,
                                (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

bool
jwt_key_signed(const struct jwt_key *key, struct slice text,
               struct slice signature)
{
    unsigned char *der = NULL;

    if (key->algorithm != JWT_ES256)
        return verify(key, text, (const unsigned char *)signature.ptr,
                      signature.len);
    int len = encode_ecdsa(signature, &der);
    bool ok = len > 0 && verify(key, text, der, (size_t)len);
    OPENSSL_free(der);
    return ok;
}

static int
collect(lua_State *L)
{
    struct jwt_key *key = luaL_checkudata(L, 1, METATABLE);

    EVP_PKEY_free(key->key);
    key->key = NULL;
    return 0;
}

struct jwt_key *
jwt_key_push(lua_State *L)
{
    struct jwt_key *key = lua_newuserdata(L, sizeof *key);

    *key = (struct jwt_key){.key = NULL};
    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return key;
}

const struct jwt_key *
jwt_key_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, METATABLE);
}
