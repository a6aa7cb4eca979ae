/* tls_trust.h -- whom to believe: authorities and revocations.
 *
 * One parsed set serves every context that names the same files, since the
 * authorities of a system are a megabyte or two in each worker.  Counted:
 * a snapshot lives as long as a context needs it. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

struct tls_trust;
struct ssl_ctx_st;

struct tls_trust_config {
    struct slice ca;      /* PEM; its names are announced to clients */
    struct slice trusted; /* PEM; believed but not announced; may be empty */
    struct slice crl;     /* PEM; when there, every certificate of a chain
                             needs an authority with a current CRL */
};

/* NULL with words if a part can't be read, or if there is no authority. */
struct tls_trust *tls_trust_new(const struct tls_trust_config *config,
                                struct error *err) MUST_USE;
struct tls_trust *tls_trust_ref(struct tls_trust *t);
void tls_trust_unref(struct tls_trust *t); /* NULL is fine */

/* The system's bundle of authorities, the first file that is there, or NULL:
 * whoever may open files reads it and passes the bytes on as `ca`. */
const char *tls_trust_system_file(void);

/* A digest of all of it: two sets that judge alike have the same. */
struct slice tls_trust_digest(const struct tls_trust *t);

/* For the contexts: what OpenSSL checks with, owned by the set. */
struct x509_store_st *tls_trust_store(const struct tls_trust *t);

/* Announces the names of `ca` in the requests of a server's context. */
void tls_trust_announce(const struct tls_trust *t, struct ssl_ctx_st *ctx);
