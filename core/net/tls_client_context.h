/* tls_client_context.h -- TLS towards upstreams.
 *
 * One for all upstreams that share authorities and client certificate; what
 * differs from one to the next is a struct tls_target.  Counted, as its
 * server twin.  Keeps the sessions of upstreams for resumption. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"
#include "net/tls_identity.h"
#include "net/tls_options.h"
#include "net/tls_trust.h"

struct tls_client_context;

#define TLS_PIN_SIZE 32

enum tls_verify {
    TLS_VERIFY_FULL, /* chain, dates and name; and a pin when there are some */
    TLS_VERIFY_PIN,  /* one of the pins alone: for self-signed upstreams */
    TLS_VERIFY_NONE, /* nothing: whoever answers gets the password */
};

struct tls_client_config {
    struct tls_trust *trust;       /* NULL: TLS_VERIFY_FULL always fails */
    struct tls_identity *identity; /* our certificate, or NULL */
    struct tls_options options;
    size_t sessions_max; /* upstreams whose session is kept; 0: none */
};

/* Holds identity and trust itself.  NULL with words. */
struct tls_client_context *
tls_client_context_new(const struct tls_client_config *config,
                       struct error *err) MUST_USE;
struct tls_client_context *tls_client_context_ref(struct tls_client_context *c);
void tls_client_context_unref(struct tls_client_context *c); /* NULL is fine */

/* What one upstream must prove.  Only needed while the stream starts. */
struct tls_target {
    enum tls_verify verify;
    struct slice name; /* DNS name or IP address in its certificate */
    struct slice sni;  /* told to it; empty: `name` unless an address */
    const unsigned char (*pins)[TLS_PIN_SIZE]; /* SHA-256 of the public key
                                                  (SubjectPublicKeyInfo) */
    size_t pin_count;
    struct slice place; /* "10.0.0.1:993": sessions are kept for it */
    struct tls_identity *identity; /* shown to it instead of the context's, in
                                      sessions of its own; or NULL */
};

/* For the streams. */
struct ssl_ctx_st *tls_client_context_ctx(const struct tls_client_context *c);
struct tls_trust *tls_client_context_trust(const struct tls_client_context *c);
struct tls_link;
bool tls_client_context_aim(struct tls_link *l,
                            const struct tls_target *target) MUST_USE;
/* After a handshake: whether a resumed session may still be believed. */
bool tls_client_context_confirm(struct tls_link *l) MUST_USE;
/* The session that was offered did not do. */
void tls_client_context_forget(struct tls_link *l);
/* And is offered none any more. */
void tls_client_context_stumble(struct tls_link *l);
