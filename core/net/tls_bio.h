/* tls_bio.h -- how OpenSSL reaches a descriptor.
 *
 * Of our own unless the kernel can do the records itself: it never raises
 * SIGPIPE, and joins the ticket that ends a TLS 1.3 handshake with the bytes
 * that follow, into one segment. */
#pragma once

#include "base/check.h"

#include <stdbool.h>

struct tls_link;

/* Whether this kernel offers kTLS; asked once a process. */
bool tls_bio_kernel_offers(void);

/* Connects `l->ssl` to `l->fd`; false when memory is short. */
bool tls_bio_attach(struct tls_link *l) MUST_USE;
