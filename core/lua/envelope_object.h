/* envelope_object.h -- the other arguments of hooks: credentials, addresses of
 * an SMTP envelope, upstreams, replies, refusals, summaries. */
#pragma once

#include "session/session.h"

#include <lua.h>

/* Pushes { address =, local_part =, domain =, params = {} }. */
void envelope_push(lua_State *L, struct slice command);

/* Pushes the credentials object; it reads `s` until it is expired.  The table
 * at `objects` becomes its environment, where it keeps its Secret at 0. */
void credentials_object_push(lua_State *L, struct session *s, int objects);
void credentials_object_expire(lua_State *L, int index);

/* Pushes { mechanism =, user =, authzid =, salt =, iterations = }. */
void verifier_request_push(lua_State *L, const struct session *s);

/* The name of the i-th field or method of credentials; NULL behind the last. */
const char *credentials_object_name(size_t i);

/* Pushes "host:port", "[::1]:143" or "unix:/path". */
void target_push_address(lua_State *L, const struct target *t,
                         const struct proto *proto);

/* Pushes { address =, host =, port =, tls = } of the upstream being tried. */
void upstream_push(lua_State *L, const struct session *s);

/* "bad-credentials", "not-allowed", ... */
const char *reason_label(enum reason reason);

/* Pushes { text =, reason = } of the upstream's refusal. */
void reply_push(lua_State *L, const struct session *s);

/* Pushes { temporary =, reason =, policy =, log = }: how a login was refused. */
void refused_push(lua_State *L, const struct session *s);

/* Pushes what `closed` is told. */
void summary_push(lua_State *L, const struct session *s);
