/* jwt_key.h -- public keys that tokens are checked with. */
#pragma once

#include "base/types.h"

#include <lua.h>
#include <openssl/evp.h>

#define JWT_PEM_MAX 65536

enum jwt_algorithm { JWT_RS256, JWT_ES256, JWT_EDDSA };

/* Userdata. */
struct jwt_key {
    EVP_PKEY *key;
    enum jwt_algorithm algorithm;
};

/* Members of a JWK in base64url; those that are not there are empty. */
struct jwt_members {
    struct slice n, e, curve, x, y;
};

/* A new key, or NULL: RSA of 2048 to 8192 bits with a sane exponent, P-256
 * with a point that is on the curve, Ed25519. */
EVP_PKEY *jwt_key_build(enum jwt_algorithm algorithm,
                        const struct jwt_members *m);

/* The same from PEM; what it is tells the algorithm. */
EVP_PKEY *jwt_key_read(struct slice pem, enum jwt_algorithm *algorithm);

/* Whether `signature` is that of `text`, by the key's own algorithm. */
bool jwt_key_signed(const struct jwt_key *key, struct slice text,
                    struct slice signature);

/* Pushes the userdata without a key yet; it owns the one that it gets. */
struct jwt_key *jwt_key_push(lua_State *L);
const struct jwt_key *jwt_key_check(lua_State *L, int index);
