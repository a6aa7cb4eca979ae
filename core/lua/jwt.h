/* jwt.h -- the parts of JSON Web Tokens (RFC 7515, 7517, 7518) that are bytes
 * and keys.  What a token claims is looked at in Lua (moongate/jwt.lua).
 *
 * A key knows the one algorithm that it is for; what a token says about
 * algorithms is never asked here. */
#pragma once

#include <lua.h>

/* (token) -> header, payload: texts, not looked at; or nil, why.  The token is
 * a Secret or text, in the compact form: three parts in base64url as an
 * encoder writes it. */
int jwt_open(lua_State *L);

/* (algorithm, members) -> key from the members of a JWK, still in base64url:
 * RS256 {n, e}, ES256 {crv, x, y}, EdDSA {crv, x}; or nil, why. */
int jwt_key(lua_State *L);

/* (text) -> key, algorithm from a public key in PEM; or nil, why. */
int jwt_key_pem(lua_State *L);

/* (key, token) -> whether the key made the token's signature. */
int jwt_is_signed(lua_State *L);
