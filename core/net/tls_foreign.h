/* tls_foreign.h -- judging the peer of a TLS connection that another library
 * made by itself, such as libpq: the same rules as for our own streams. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "net/tls_client_context.h"

struct ssl_st;

/* Whether a connection whose handshake is over goes to who it should: what the
 * library itself found is not asked.  False with words. */
bool tls_foreign_check(struct ssl_st *ssl, const struct tls_client_context *c,
                       const struct tls_target *target,
                       struct error *err) MUST_USE;
