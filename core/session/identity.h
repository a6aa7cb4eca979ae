/* identity.h -- who the client of a session is: what a peer says that is
 * trusted to, and what upstreams are told. */
#pragma once

#include "session/session.h"

/* The client that a PROXY header, which is believed, names. */
void identity_take_proxy(struct session *s, const struct proxy_header *header);

/* Once it is known who speaks: may it say that somebody else does? */
void identity_judge_peer(struct session *s);

/* ASK_IDENTITY: takes over what dialog->told has, and has the `connect` hook
 * asked about the client that it names. */
enum phase identity_take_over(struct session *s);

/* What was told in clear does not count on TLS: the peer is the client again.
 */
void identity_forget(struct session *s);

/* Fills what the upstream of this login may be told. */
void identity_prepare(struct session *s);

/* The client behind the login has come through too many gateways. */
bool identity_is_looping(const struct session *s);

/* The header for an upstream that wants one. */
bool identity_write_proxy_header(struct session *s) MUST_USE;
