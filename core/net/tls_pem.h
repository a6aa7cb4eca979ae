/* tls_pem.h -- certificates, keys and CRLs out of PEM bytes.
 *
 * Bytes, not paths: a worker opens no file. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <openssl/types.h>
#include <openssl/x509.h>

/* All certificates of `pem`, at least one, in their order; NULL with words. */
STACK_OF(X509) *
    tls_pem_certificates(struct slice pem, struct error *err) MUST_USE;

/* Passphrases are tried in turn on an encrypted key. */
struct tls_passphrases {
    const struct secret *each;
    size_t count;
};

EVP_PKEY *tls_pem_key(struct secret pem,
                      const struct tls_passphrases *passphrases,
                      struct error *err) MUST_USE;

/* Adds every CRL of `pem`, at least one, to `store`. */
bool tls_pem_add_crls(struct slice pem, X509_STORE *store,
                      struct error *err) MUST_USE;

/* Diffie-Hellman parameters. */
EVP_PKEY *tls_pem_dh(struct slice pem, struct error *err) MUST_USE;
