/* tls_tickets.h -- the keys that seal sessions into tickets.
 *
 * Keys are derived from one secret and the time, so that every worker, every
 * generation and every machine with the secret agrees without a message.  The
 * period before is still accepted (and renewed), and the one after too, since
 * clocks differ.  Or the operator gives the keys. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

struct tls_tickets;
struct ssl_ctx_st;

#define TLS_TICKET_SECRET_SIZE 32
#define TLS_TICKET_KEYS_MAX    8

struct tls_ticket_config {
    bool on;
    struct secret secret;      /* TLS_TICKET_SECRET_SIZE random bytes; used
                                  when `keys` is empty */
    unsigned period;           /* seconds that a derived key seals */
    const struct secret *keys; /* 48 or 80 bytes each, as nginx has them: the
                                  first seals, all open; copied */
    size_t key_count;
};

/* NULL with words. */
struct tls_tickets *tls_tickets_new(const struct tls_ticket_config *config,
                                    struct error *err) MUST_USE;
void tls_tickets_free(struct tls_tickets *t); /* wipes; NULL is fine */

/* Makes `ctx` use them.  `find` tells which are those of a context. */
struct tls_tickets *tls_tickets_of(struct ssl_ctx_st *ctx);
void tls_tickets_serve(struct ssl_ctx_st *ctx);
