#include "net/tls_identity.h"

#include "net/tls_error.h"
#include "net/tls_ocsp.h"
#include "net/tls_pem.h"
#include "net/tls_x509.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LEN_MAX 256

struct pair {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* without the leaf */
    char *name;
    char *staple; /* DER; NULL when there is none */
    size_t staple_len;
    time_t staple_until;
};

struct tls_identity {
    size_t refs;
    struct pair pairs[TLS_PAIRS_MAX];
    size_t count;
};

static bool
is_match(const struct pair *p, struct error *err)
{
    bool match = X509_check_private_key(p->leaf, p->key) == 1;

    ERR_clear_error();
    return match || error_set(err,
                              "certificate \"%s\": the key belongs to "
                              "another certificate",
                              p->name);
}

static bool
load_pair(struct pair *p, const struct tls_pair_config *config,
          const struct tls_passphrases *passphrases, struct error *err)
{
    p->name = xstrndup(config->name, strlen(config->name));
    p->chain = tls_pem_certificates(config->certificate, err);
    if (p->chain == NULL)
        return error_context(err, "certificate \"%s\"", p->name);
    p->leaf = sk_X509_shift(p->chain);
    p->key = tls_pem_key(config->key, passphrases, err);
    if (p->key == NULL)
        return error_context(err, "key of certificate \"%s\"", p->name);
    return is_match(p, err);
}

/* OpenSSL keeps one certificate of a kind and would drop the earlier. */
static bool
is_new_kind(const struct tls_identity *i, const struct pair *p)
{
    for (size_t n = 0; n < i->count; n++) {
        if (EVP_PKEY_get_base_id(i->pairs[n].key) ==
            EVP_PKEY_get_base_id(p->key))
            return false;
    }
    return true;
}

static void
pair_free(struct pair *p)
{
    X509_free(p->leaf);
    EVP_PKEY_free(p->key);
    sk_X509_pop_free(p->chain, X509_free);
    free(p->name);
    free(p->staple);
}

static bool
load(struct tls_identity *i, const struct tls_identity_config *config,
     struct error *err)
{
    struct tls_passphrases passphrases = {config->passphrases,
                                          config->passphrase_count};

    if (config->pair_count == 0 || config->pair_count > TLS_PAIRS_MAX)
        return error_set(err, "between 1 and %d certificates make a set",
                         TLS_PAIRS_MAX);
    for (size_t n = 0; n < config->pair_count; n++) {
        struct pair p = {.leaf = NULL};
        bool loaded = load_pair(&p, &config->pairs[n], &passphrases, err);
        if (loaded && !is_new_kind(i, &p))
            loaded = error_set(err,
                               "certificate \"%s\": there is one with a %s "
                               "key already",
                               p.name, EVP_PKEY_get0_type_name(p.key));
        if (!loaded) {
            pair_free(&p);
            return false;
        }
        i->pairs[i->count++] = p;
    }
    return true;
}

struct tls_identity *
tls_identity_new(const struct tls_identity_config *config, struct error *err)
{
    struct tls_identity *i = xcalloc(1, sizeof *i);

    i->refs = 1;
    if (load(i, config, err))
        return i;
    tls_identity_unref(i);
    return NULL;
}

struct tls_identity *
tls_identity_of(STACK_OF(X509) * chain, EVP_PKEY *key, struct error *err)
{
    struct tls_identity *i = xcalloc(1, sizeof *i);
    struct pair *p = &i->pairs[0];
    char subject[NAME_LEN_MAX];

    i->refs = i->count = 1;
    p->chain = X509_chain_up_ref(chain);
    require(p->chain != NULL && sk_X509_num(p->chain) > 0);
    p->leaf = sk_X509_shift(p->chain);
    require(EVP_PKEY_up_ref(key) == 1);
    p->key = key;
    tls_x509_subject(p->leaf, subject, sizeof subject);
    p->name = xstrndup(subject, strlen(subject));
    if (is_match(p, err))
        return i;
    tls_identity_unref(i);
    return NULL;
}

static void
add_certificate(EVP_MD_CTX *digest, const X509 *c)
{
    unsigned char own[TLS_IDENTITY_DIGEST];

    require(X509_digest(c, EVP_sha256(), own, NULL) == 1 &&
            EVP_DigestUpdate(digest, own, sizeof own) == 1);
}

void
tls_identity_digest(const struct tls_identity *i,
                    unsigned char digest[TLS_IDENTITY_DIGEST])
{
    EVP_MD_CTX *all = EVP_MD_CTX_new();

    require(all != NULL && EVP_DigestInit_ex2(all, EVP_sha256(), NULL) == 1);
    for (size_t n = 0; n < i->count; n++) {
        const struct pair *p = &i->pairs[n];
        add_certificate(all, p->leaf);
        for (int c = 0; c < sk_X509_num(p->chain); c++)
            add_certificate(all, sk_X509_value(p->chain, c));
    }
    require(EVP_DigestFinal_ex(all, digest, NULL) == 1);
    EVP_MD_CTX_free(all);
}

struct tls_identity *
tls_identity_ref(struct tls_identity *i)
{
    i->refs++;
    return i;
}

void
tls_identity_unref(struct tls_identity *i)
{
    if (i == NULL || --i->refs > 0)
        return;
    for (size_t n = 0; n < i->count; n++)
        pair_free(&i->pairs[n]);
    free(i);
}

bool
tls_identity_check(const struct tls_identity *i, time_t now, struct error *err)
{
    for (size_t n = 0; n < i->count; n++) {
        const struct pair *p = &i->pairs[n];
        if (tls_x509_time(X509_get0_notBefore(p->leaf)) > now)
            return error_set(err, "certificate \"%s\" is not valid yet",
                             p->name);
        if (tls_x509_time(X509_get0_notAfter(p->leaf)) <= now)
            return error_set(err, "certificate \"%s\" has expired", p->name);
    }
    return true;
}

void
tls_identity_each_name(const struct tls_identity *i,
                       void (*each)(void *arg, struct slice name), void *arg)
{
    for (size_t n = 0; n < i->count; n++)
        tls_x509_each_name(i->pairs[n].leaf, each, arg);
}

static X509 *
issuer_of(const struct pair *p)
{
    for (int n = 0; n < sk_X509_num(p->chain); n++) {
        X509 *one = sk_X509_value(p->chain, n);
        if (X509_check_issued(one, p->leaf) == X509_V_OK)
            return one;
    }
    return NULL;
}

static void
keep_staple(struct pair *p, struct slice der, time_t until)
{
    free(p->staple);
    p->staple = xstrndup(der.ptr, der.len);
    p->staple_len = der.len;
    p->staple_until = until;
}

bool
tls_identity_staple(struct tls_identity *i, struct slice der, time_t now,
                    struct error *err)
{
    time_t until;

    (void)error_set(err, "the chain does not hold the issuer's certificate");
    for (size_t n = 0; n < i->count; n++) {
        struct tls_ocsp_subject subject = {i->pairs[n].leaf,
                                           issuer_of(&i->pairs[n])};
        if (subject.issuer != NULL &&
            tls_ocsp_check_for(&subject, der, now, &until, err)) {
            keep_staple(&i->pairs[n], der, until);
            return true;
        }
    }
    return false;
}

bool
tls_identity_show(const struct tls_identity *i, struct ssl_st *ssl)
{
    SSL_certs_clear(ssl);
    for (size_t n = 0; n < i->count; n++) {
        const struct pair *p = &i->pairs[n];
        if (SSL_use_cert_and_key(ssl, p->leaf, p->key, p->chain, 1) != 1)
            return false;
    }
    return true;
}

bool
tls_identity_show_always(const struct tls_identity *i, struct ssl_ctx_st *ctx,
                         struct error *err)
{
    for (size_t n = 0; n < i->count; n++) {
        const struct pair *p = &i->pairs[n];
        if (SSL_CTX_use_cert_and_key(ctx, p->leaf, p->key, p->chain, 1) != 1) {
            (void)tls_error_set(err, "it can't be used");
            return error_context(err, "certificate \"%s\"", p->name);
        }
    }
    return true;
}

struct slice
tls_identity_staple_of(const struct tls_identity *i,
                       const struct x509_st *shown, time_t now)
{
    for (size_t n = 0; n < i->count; n++) {
        const struct pair *p = &i->pairs[n];
        if (p->leaf == shown && p->staple != NULL && now < p->staple_until)
            return (struct slice){p->staple, p->staple_len};
    }
    return (struct slice){NULL, 0};
}
