/* spec_session.h -- a session without sockets, for specs of policies. */
#pragma once

#include "session/session.h"
#include "session/sessions.h"

#include <lua.h>

struct spec_session {
    struct sessions home;
    struct session session;
};

/* From the table at `index`: listener, user, client, server, helo, host,
 * mechanism, password, authzid, challenge, response, mail, rcpt, attempt,
 * failure, upstream, reply. NULL if there is no such listener. */
struct spec_session *spec_session_new(lua_State *L, int index,
                                      struct ev_loop *loop,
                                      struct config *config);

/* Sets again what the table at `index` gives; the rest stays. */
void spec_session_set(lua_State *L, int index, struct spec_session *s);
void spec_session_free(struct spec_session *s);

/* Pushes the verdict as a plain table. */
void spec_verdict_push(lua_State *L, const struct session *s);
