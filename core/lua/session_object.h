/* session_object.h -- what a hook knows of the session. */
#pragma once

#include "session/session.h"

#include <lua.h>

/* Pushes the object; it reads `s` until it is expired. */
void session_object_push(lua_State *L, struct session *s);

/* The name of the i-th field or method; NULL behind the last. */
const char *session_object_name(size_t i);

/* Makes the session, credentials or vars object at `index` useless; wipes its
 * secrets. */
void session_object_expire(lua_State *L, int index);

/* A copy of what outlives the session, for notifications. */
struct session *session_snapshot(const struct session *s);
void session_snapshot_free(struct session *s);
