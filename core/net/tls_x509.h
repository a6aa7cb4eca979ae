/* tls_x509.h -- reading one certificate: names, times, fingerprints. */
#pragma once

#include "base/types.h"

#include <openssl/x509.h>
#include <time.h>

/* Seconds since 1970; 0 for a date that can't be read. */
time_t tls_x509_time(const ASN1_TIME *t);

/* RFC 2253, printable ASCII, cut to fit, terminated. */
void tls_x509_subject(const X509 *c, char *out, size_t size);
void tls_x509_issuer(const X509 *c, char *out, size_t size);

/* The serial number in upper-case hexadecimal, cut to fit. */
void tls_x509_serial(X509 *c, char *out, size_t size);

/* The names it is good for, "a.example, *.b.example, 192.0.2.1", or its
 * common name when it has none; cut to fit with "...". */
void tls_x509_names(X509 *c, char *out, size_t size);

/* Calls `each` for every DNS name (else the common name) of plain letters. */
void tls_x509_each_name(X509 *c, void (*each)(void *arg, struct slice name),
                        void *arg);

/* Lower-case hexadecimal without colons; `hex` has room for 2 * the digest's
 * size and a NUL. */
void tls_x509_fingerprint(const X509 *c, const EVP_MD *digest, char *hex);

/* RFC 7633: whoever sees it expects a stapled OCSP response. */
bool tls_x509_must_staple(const X509 *c);
