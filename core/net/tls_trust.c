#include "net/tls_trust.h"

#include "base/slice.h"
#include "net/tls_error.h"
#include "net/tls_pem.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

struct tls_trust {
    size_t refs;
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* of `ca` */
    unsigned char digest[SHA256_DIGEST_LENGTH];
};

static void
digest_parts(struct tls_trust *t, const struct tls_trust_config *config)
{
    const struct slice parts[] = {config->ca, config->trusted, config->crl};
    unsigned char each[3][SHA256_DIGEST_LENGTH];

    for (size_t i = 0; i < 3; i++)
        (void)SHA256((const unsigned char *)parts[i].ptr, parts[i].len,
                     each[i]);
    (void)SHA256(each[0], sizeof each, t->digest);
}

static bool
add_authorities(struct tls_trust *t, struct slice pem, bool announced,
                struct error *err)
{
    STACK_OF(X509) *all = tls_pem_certificates(pem, err);

    if (all == NULL)
        return false;
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *one = sk_X509_value(all, i);
        require(X509_STORE_add_cert(t->store, one) == 1);
        if (!announced)
            continue;
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(one));
        require(name != NULL && sk_X509_NAME_push(t->names, name) > 0);
    }
    sk_X509_pop_free(all, X509_free);
    return true;
}

static bool
fill(struct tls_trust *t, const struct tls_trust_config *config,
     struct error *err)
{
    if (config->ca.len == 0 && config->trusted.len == 0)
        return error_set(err, "no authority to believe");
    if (config->ca.len > 0 && !add_authorities(t, config->ca, true, err))
        return error_context(err, "ca");
    if (config->trusted.len > 0 &&
        !add_authorities(t, config->trusted, false, err))
        return error_context(err, "trusted");
    if (config->crl.len == 0)
        return true;
    if (!tls_pem_add_crls(config->crl, t->store, err))
        return error_context(err, "crl");
    require(X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK |
                                               X509_V_FLAG_CRL_CHECK_ALL));
    return true;
}

struct tls_trust *
tls_trust_new(const struct tls_trust_config *config, struct error *err)
{
    struct tls_trust *t = xcalloc(1, sizeof *t);

    t->refs = 1;
    t->store = X509_STORE_new();
    t->names = sk_X509_NAME_new_null();
    require(t->store != NULL && t->names != NULL);
    digest_parts(t, config);
    if (fill(t, config, err))
        return t;
    tls_trust_unref(t);
    return NULL;
}

struct tls_trust *
tls_trust_ref(struct tls_trust *t)
{
    t->refs++;
    return t;
}

void
tls_trust_unref(struct tls_trust *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    sk_X509_NAME_pop_free(t->names, X509_NAME_free);
    X509_STORE_free(t->store);
    free(t);
}

const char *
tls_trust_system_file(void)
{
    static const char *const known[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/ca-bundle.pem",             /* openSUSE */
        "/etc/ssl/cert.pem",
    };
    const char *wanted = getenv(X509_get_default_cert_file_env());

    if (wanted != NULL)
        return wanted;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (access(known[i], R_OK) == 0)
            return known[i];
    }
    return NULL;
}

struct slice
tls_trust_digest(const struct tls_trust *t)
{
    return (struct slice){(const char *)t->digest, sizeof t->digest};
}

struct x509_store_st *
tls_trust_store(const struct tls_trust *t)
{
    return t->store;
}

void
tls_trust_announce(const struct tls_trust *t, struct ssl_ctx_st *ctx)
{
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(t->names);

    require(names != NULL);
    SSL_CTX_set_client_CA_list(ctx, names);
}
