/* shadow_session.h -- a copy of a session that policies can be asked about. */
#pragma once

#include "session/session.h"

struct shadow_session {
    struct session session;
    struct login_state login;
};

/* Copies what hooks may see, credentials included; no sockets, no timers.
 * false, with nothing to free, if there is too much of it. */
bool shadow_session_init(struct shadow_session *copy, struct session *s);
void shadow_session_deinit(struct shadow_session *copy); /* wipes */
