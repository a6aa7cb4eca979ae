/* tls_certificate.h -- what a certificate says, for logs, metrics and OCSP. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <time.h>

struct tls_certificate {
    time_t not_before, not_after;
    bool must_staple;     /* RFC 7633 */
    char subject[256];    /* RFC 2253, printable ASCII; cut to fit */
    char issuer[256];     /* the same */
    char serial[64];      /* upper-case hexadecimal */
    char names[512];      /* "a.example, *.b.example, 192.0.2.1" */
    char fingerprint[65]; /* SHA-256, lower-case hexadecimal */
    char ocsp[256];       /* URL of the responder, or "" */
};

/* Reads the first certificate of `pem`. */
bool tls_certificate_read(struct slice pem, struct tls_certificate *out,
                          struct error *err) MUST_USE;

/* A short line for the operator if it is not valid at `now`, or will end
 * within `warning` seconds: "mail.example.org expires in 6 days", else false. */
bool tls_certificate_warning(const struct tls_certificate *c, time_t now,
                             time_t warning, char text[640]);
