/* certificates.h -- our own certificates, as the `tls` sections name them. */
#pragma once

#include "net/tls_certificate.h"
#include "net/tls_identity.h"

struct own_certificate {
    struct own_certificate *next;
    char *name; /* its file */
    struct tls_certificate facts;
    struct tls_identity *identity; /* a reference */
};

/* In the order they are named; a file may be named more than once. */
struct certificates {
    struct own_certificate *first, *last;
};

struct certificates *certificates_new(void);
void certificates_free(struct certificates *c); /* NULL is fine */

/* Those of one set. */
void certificates_add(struct certificates *c, struct tls_identity *identity,
                      const struct tls_pair_config *pairs, size_t count);

/* Logs what an operator should know before it is too late: each that ends
 * within 14 days, or is not valid now. */
void certificates_warn(const struct certificates *c, time_t now);
