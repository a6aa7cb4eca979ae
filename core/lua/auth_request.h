/* auth_request.h -- a question to an auth server, in nginx's words. */
#pragma once

#include "base/buf.h"
#include "lua/auth_url.h"
#include "session/session.h"

#define AUTH_REQUEST_MAX 65536

struct auth_group;

/* Appends the fields from Auth-Method on: nginx's in nginx's order, then
 * Client-Port, Server-IP and Server-Port, then those of the configuration.
 * `credentials` NULL asks about the recipient that the session has named.
 * False if something in it can't be sent: `*problem` says what. */
bool auth_request_fields(struct buf *out, struct session *s,
                         const struct credentials *credentials,
                         const struct auth_group *g,
                         const char **problem) MUST_USE;

/* Appends the request line and what of the head depends on the server.
 * Without `keep` the connection is for one question, as nginx has it. */
bool auth_request_begin(struct buf *out, const struct auth_url *url,
                        bool keep) MUST_USE;
