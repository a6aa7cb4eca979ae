/* auth_transport.h -- the request fields about how the client came: through a
 * proxy, by TLS, with which certificate. */
#pragma once

#include "base/buf.h"
#include "session/session.h"

/* Proxy-Protocol-*: only if a header with addresses came. */
bool auth_transport_put_proxy(struct buf *out,
                              const struct session *s) MUST_USE;

/* Auth-SSL and what follows it, in nginx's order; with the certificate itself
 * when `whole`. */
bool auth_transport_put_tls(struct buf *out, struct session *s,
                            bool whole) MUST_USE;
