/* client_certificate.h -- certificates and private keys that policies hold, to
 * be shown to servers by their sockets.
 *
 * Both are userdata that nothing can be read out of; OpenSSL wipes a key when
 * the last who holds it lets go: the userdata is collected, the connections
 * that show it are over. */
#pragma once

#include "base/error.h"
#include "net/tls_identity.h"

#include <lua.h>

#define CLIENT_PEM_MAX 65536

/* (PEM, own certificate first, then its chain): the certificate; or nil and a
 * text.  lua_CFunctions, as the next two. */
int client_certificate_parse(lua_State *L);
/* (PEM, not encrypted; a string or Secret): the key; or nil and a text. */
int client_key_parse(lua_State *L);
/* (any value): "certificate", "key" or nil. */
int client_certificate_kind(lua_State *L);

/* Of the certificate and the key at these indices; raises if they are none,
 * NULL with words if they don't belong together. */
struct tls_identity *client_certificate_identity(lua_State *L, int certificate,
                                                 int key,
                                                 struct error *err) MUST_USE;
