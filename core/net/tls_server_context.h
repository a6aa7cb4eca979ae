/* tls_server_context.h -- TLS towards clients, as one listener wants it.
 *
 * A counted snapshot: a reload or a new certificate makes a new context for
 * the connections to come, and those of old keep theirs.  Everything comes in
 * as bytes; no file is opened. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"
#include "net/tls_cache.h"
#include "net/tls_identity.h"
#include "net/tls_names.h"
#include "net/tls_options.h"
#include "net/tls_tickets.h"
#include "net/tls_trust.h"

struct tls_server_context;

enum tls_client_certificate {
    TLS_CLIENT_CERTIFICATE_OFF,
    TLS_CLIENT_CERTIFICATE_REQUIRED,
    TLS_CLIENT_CERTIFICATE_OPTIONAL,       /* when there, it must be good */
    TLS_CLIENT_CERTIFICATE_OPTIONAL_NO_CA, /* by whomever it was signed */
};

struct tls_server_config {
    const char *name;              /* of the listener: no session of another
                                      is resumed here */
    struct tls_identity *identity; /* shown when no name fits; NULL: none */
    const struct tls_name *names;  /* shown to clients that ask by name */
    size_t name_count;
    bool names_only;  /* refuse a client that asks for another name */
    const char *alpn; /* "imap": the one protocol spoken here */
    struct tls_options options;
    bool prefer_server_ciphers;
    struct slice dhparam; /* PEM; empty: no finite-field Diffie-Hellman */
    enum tls_client_certificate client_certificate;
    struct tls_trust *trust; /* who may sign client certificates; NULL only
                                 when OFF or OPTIONAL_NO_CA */
    int verify_depth;        /* 0: 1 as nginx, the longest chain of CAs */
    struct tls_ticket_config tickets;
    struct tls_cache *cache;  /* outlives all contexts; NULL: none */
    unsigned session_timeout; /* seconds; 0: 300 */
};

/* Holds identities and trust itself, copies the rest.  NULL with words. */
struct tls_server_context *
tls_server_context_new(const struct tls_server_config *config,
                       struct error *err) MUST_USE;
struct tls_server_context *tls_server_context_ref(struct tls_server_context *c);
void tls_server_context_unref(struct tls_server_context *c); /* NULL is fine */

/* For the streams. */
struct ssl_ctx_st *tls_server_context_ctx(const struct tls_server_context *c);
enum tls_client_certificate
tls_server_context_client_certificate(const struct tls_server_context *c);
