/* spec_session.h -- a session without sockets, for specs of policies.
 *
 * Its hooks are asked and its verdicts are acted on by the session layer; only
 * the client and its bytes are missing. */
#pragma once

#include "session/session.h"
#include "session/sessions.h"

#include <lua.h>

struct spec_session {
    struct sessions home;
    struct capabilities learnt;
    struct session session;
    bool starttls; /* its TLS begins after the greeting */
};

/* From the table at `index`: listener, protocol, user, client, server, helo,
 * host, tls, mechanism, password, authzid, challenge, response, mail, rcpt,
 * attempt, failure, upstream, reply.  NULL if there is no such listener.
 * `home` is what the session has of a worker's. */
struct spec_session *spec_session_new(lua_State *L, int index,
                                      const struct sessions *home,
                                      struct config *config);

/* Sets again what the table at `index` gives; the rest stays. */
void spec_session_set(lua_State *L, int index, struct spec_session *s);
void spec_session_free(struct spec_session *s);
