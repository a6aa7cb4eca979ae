/* udp.h -- `moongate.socket.udp()`: datagrams to and from one peer, with
 * setpeername, send, receive, settimeout and close. */
#pragma once

#include <lua.h>

int udp_new(lua_State *L);
