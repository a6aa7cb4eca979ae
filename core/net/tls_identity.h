/* tls_identity.h -- who we are: certificates and their keys, as one set.
 *
 * A set usually has one pair for each kind of key (ECDSA, RSA); the peer's
 * abilities choose among them.  Sets never change, but for their staples, and
 * are counted: a new certificate is a new set, and whoever shows the old one
 * keeps it as long as needed. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <time.h>

struct tls_identity;
struct ssl_st;
struct ssl_ctx_st;
struct x509_st;
struct stack_st_X509;
struct evp_pkey_st;

struct tls_pair_config {
    const char *name;         /* for error texts: "/etc/tls/mail.pem" */
    struct slice certificate; /* PEM, own certificate first, then its chain */
    struct secret key;        /* PEM, perhaps encrypted */
};

struct tls_identity_config {
    const struct tls_pair_config *pairs; /* at most TLS_PAIRS_MAX */
    size_t pair_count;
    const struct secret *passphrases; /* tried on encrypted keys, in turn */
    size_t passphrase_count;
};

#define TLS_PAIRS_MAX       4
#define TLS_IDENTITY_DIGEST 32

/* NULL with words: unreadable, an unknown passphrase, a key of another
 * certificate, two pairs of one kind.  An expired certificate is none of
 * these; see tls_identity_check. */
struct tls_identity *tls_identity_new(const struct tls_identity_config *config,
                                      struct error *err) MUST_USE;
struct tls_identity *tls_identity_ref(struct tls_identity *i);
void tls_identity_unref(struct tls_identity *i); /* NULL is fine */

/* Of what has been read already: a certificate with its chain, and its key,
 * which it holds itself.  NULL with words: the key is another's. */
struct tls_identity *tls_identity_of(struct stack_st_X509 *chain,
                                     struct evp_pkey_st *key,
                                     struct error *err) MUST_USE;

/* Another set has another, but for a copy of this one. */
void tls_identity_digest(const struct tls_identity *i,
                         unsigned char digest[TLS_IDENTITY_DIGEST]);

/* Whether each certificate is valid at `now`; false with words. */
bool tls_identity_check(const struct tls_identity *i, time_t now,
                        struct error *err) MUST_USE;

/* Calls `each` with every name the certificates are good for. */
void tls_identity_each_name(const struct tls_identity *i,
                            void (*each)(void *arg, struct slice name),
                            void *arg);

/* Shows `der` with the certificate that it is about, from now until it ends;
 * running handshakes and sessions are not touched.  false with words if it
 * is not a current "good" for one of ours. */
bool tls_identity_staple(struct tls_identity *i, struct slice der, time_t now,
                         struct error *err) MUST_USE;

/* For the streams: one connection, or all of a context, shows this set. */
bool tls_identity_show(const struct tls_identity *i,
                       struct ssl_st *ssl) MUST_USE;
bool tls_identity_show_always(const struct tls_identity *i,
                              struct ssl_ctx_st *ctx,
                              struct error *err) MUST_USE;

/* The staple of `shown` that is still good, or nothing. */
struct slice tls_identity_staple_of(const struct tls_identity *i,
                                    const struct x509_st *shown, time_t now);
