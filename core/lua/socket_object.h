/* socket_object.h -- what mod_socket.c has for lua/moongate/compat. */
#pragma once

#include <lua.h>

/* (socket, certificate, key), see client_certificate.h; or nil in the place of
 * both, for what the configuration says: what the socket's handshakes show
 * from now on, and whose connections it finds in pools.  true; or nil and a
 * text.  A lua_CFunction. */
int socket_set_certificate(lua_State *L);
