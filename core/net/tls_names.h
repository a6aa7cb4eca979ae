/* tls_names.h -- which certificates to show to a client that asks by name.
 *
 * A name is exact or "*.example.org", which stands for one label, as in a
 * certificate.  Exact names win; of two entries for one name the first. */
#pragma once

#include "base/types.h"

struct tls_identity;
struct tls_names;

struct tls_name {
    struct slice name; /* empty: all names that the certificates hold */
    struct tls_identity *identity;
};

/* Copies the names and holds the identities. */
struct tls_names *tls_names_new(const struct tls_name *each, size_t count);
void tls_names_free(struct tls_names *n); /* NULL is fine */

/* NULL when nothing fits.  `name` is in lower case.  Borrowed. */
struct tls_identity *tls_names_find(const struct tls_names *n,
                                    struct slice name);
