/* tls_verify.h -- judging an upstream's certificate, and why not, in words. */
#pragma once

#include "net/tls_client_context.h"

struct ssl_ctx_st;
struct tls_link;
struct x509_st;

/* Every full handshake of `ctx` is judged by what its link's peer must prove. */
void tls_verify_serve(struct ssl_ctx_st *ctx);

/* Arms the check of name or address; false when the name is impossible. */
bool tls_verify_expect(struct tls_link *l);

/* Whether the certificate that a resumed session was made with is in date. */
bool tls_verify_again(struct tls_link *l);

/* Whether the certificate's public key is one of the pins. */
bool tls_verify_has_pin(const unsigned char (*pins)[TLS_PIN_SIZE], size_t count,
                        const struct x509_st *leaf);
