/* session_tls.h -- session.tls and session.proxy for hooks. */
#pragma once

#include "session/session.h"

#include <lua.h>

/* Each pushes a table, or nil without TLS or without a PROXY header. */
int session_tls_push(lua_State *L, const struct session *s);
int session_proxy_push(lua_State *L, const struct session *s);
