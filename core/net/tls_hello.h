/* tls_hello.h -- what a server answers a ClientHello with: which certificate,
 * which protocol, which staple, and which sessions it knows again. */
#pragma once

#include "net/tls_cache.h"
#include "net/tls_identity.h"
#include "net/tls_names.h"
#include "net/tls_tickets.h"

struct ssl_ctx_st;

#define TLS_SCOPE_SIZE 32

/* The part of a server's context that the callbacks read; the app data of its
 * SSL_CTX. */
struct tls_hello {
    struct tls_identity *identity; /* NULL: none without a name */
    struct tls_names *names;
    bool names_only;
    unsigned char alpn[64]; /* one name, its length in front; or "" */
    unsigned char scope[TLS_SCOPE_SIZE]; /* sessions are good within it */
    struct tls_tickets *tickets;         /* NULL: none are given out */
    struct tls_cache *cache;             /* NULL: none */
};

/* `h` must live as long as `ctx`. */
void tls_hello_serve(struct tls_hello *h, struct ssl_ctx_st *ctx);
