/* tls_ocsp.h -- asking for a certificate's status, and checking the answer.
 *
 * Only bytes: the request goes out, and the answer comes in, through a
 * throw-away helper; a worker checks what it is told to staple once more. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <time.h>

struct x509_st;

/* The DER body of a POST to the certificate's responder.  `chain` is PEM:
 * the certificate and its issuer, in this order. */
bool tls_ocsp_request(struct slice chain, struct buf *der,
                      struct error *err) MUST_USE;

/* Whether `der` is a signed, current "good" about the first certificate of
 * `chain`.  `*until` is when it ends (its nextUpdate, or an hour from `now`
 * when it names none). */
bool tls_ocsp_check(struct slice chain, struct slice der, time_t now,
                    time_t *until, struct error *err) MUST_USE;

/* The same for parsed certificates. */
struct tls_ocsp_subject {
    struct x509_st *leaf, *issuer;
};
bool tls_ocsp_check_for(const struct tls_ocsp_subject *subject,
                        struct slice der, time_t now, time_t *until,
                        struct error *err) MUST_USE;
