/* openresty.h -- what lua/moongate/compat needs of C besides the modules. */
#pragma once

#include <lua.h>

/* Digests of a text, in hexadecimal; they raise where OpenSSL refuses. */
int openresty_md5(lua_State *L);       /* (text) */
int openresty_sha1(lua_State *L);      /* (text) */
int openresty_hmac_sha1(lua_State *L); /* (key, text) */
int openresty_crc32(lua_State *L);     /* (text): ISO 3309, a number */

int openresty_encode_base64(lua_State *L); /* (text) */
int openresty_decode_base64(lua_State *L); /* (text): nil if it is none */

/* Its number, from 1, its process, and how many cores there are. */
int openresty_worker(lua_State *L);

/* The folder of moongate.lua with a slash behind it, or "". */
int openresty_prefix(lua_State *L);
