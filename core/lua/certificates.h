/* certificates.h -- our own certificates, as the `tls` sections name them. */
#pragma once

#include "base/log.h"
#include "net/tls_certificate.h"
#include "net/tls_identity.h"

struct own_certificate {
    struct own_certificate *next;
    char *name; /* its file */
    struct tls_certificate facts;
    struct tls_identity *identity; /* a reference */
    char *chain;                   /* PEM */
    size_t chain_len;
    bool stapling;    /* its status is to be fetched */
    char *responder;  /* where from; "" where it does not say */
    bool stapled;     /* by a file */
    struct error why; /* the file could not be used; "" */
};

/* How the certificates of one section are stapled. */
struct stapling_config {
    bool on;
    struct slice responder;    /* empty: what the certificate says */
    const struct slice *files; /* DER */
    size_t file_count;
};

/* In the order they are named; a file may be named more than once. */
struct certificates {
    struct own_certificate *first, *last;
};

struct certificates *certificates_new(void);
void certificates_free(struct certificates *c); /* NULL is fine */

/* Those of one set. */
void certificates_add(struct certificates *c, struct tls_identity *identity,
                      const struct tls_identity_config *config,
                      const struct stapling_config *stapling);

/* Whether `o` is the first with its file. */
bool certificates_is_first(const struct certificates *c,
                           const struct own_certificate *o);

/* Shows the status `der` with each certificate of the file `name` that wants
 * one, after it was checked.  false with words, of the last that refused. */
bool certificates_staple(const struct certificates *c, struct slice name,
                         struct slice der, time_t now,
                         struct error *err) MUST_USE;

/* What an operator should know before it is too late: each that ends within
 * 14 days, or is not valid now, or can't be stapled as it should. */
typedef void (*certificate_fn)(void *arg, enum log_level level,
                               const char *name, const char *text);
void certificates_tell(const struct certificates *c, time_t now,
                       certificate_fn tell, void *arg);

/* Logs it. */
void certificates_warn(const struct certificates *c, time_t now);
