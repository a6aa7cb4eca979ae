/* shadow.h -- a second chain of policies beside the live one.
 *
 * `shadow` of a listener names policies that are asked what the live chain was
 * asked, once that has decided: about a copy of the session, with its
 * credentials, which is wiped afterwards.  Differences are logged and counted;
 * nothing else comes of it.  The live login never waits for it. */
#pragma once

#include "lua/generation.h"

#define SHADOWS_MAX 100 /* of a generation; what would be more is counted */

/* Whether a policy of the listener's shadow chain has the hook, and the hook
 * is one that is followed: connect, auth, route, rcpt. */
bool shadow_has(const struct generation *g, const struct listener_config *l,
                enum hook hook);

/* The live chain has decided: the verdict stands in the session. */
void shadow_follow(struct generation *g, struct session *s, enum hook hook);

/* Forgets all that wait to begin.  Those that run are calls of the state, and
 * end with them. */
void shadow_end_all(struct generation *g);
