#include "net/tls_pem.h"

#include "net/tls_error.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

static BIO *
open_bytes(struct slice pem)
{
    require(pem.len <= INT_MAX);
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem.len > 0 ? pem.ptr : "", (int)pem.len);
    require(bio != NULL);
    return bio;
}

/* Reading stops at the end of the file or at a block that is damaged. */
static bool
is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();

    return ERR_GET_LIB(code) == ERR_LIB_PEM &&
           ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) * tls_pem_certificates(struct slice pem, struct error *err)
{
    BIO *bio = open_bytes(pem);
    STACK_OF(X509) *all = sk_X509_new_null();
    X509 *one;

    require(all != NULL);
    while ((one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        require(sk_X509_push(all, one) > 0);
    BIO_free(bio);
    if (!is_at_end())
        (void)error_set(err, "certificate %d: %s", sk_X509_num(all) + 1,
                        tls_error_words());
    else if (sk_X509_num(all) == 0)
        (void)error_set(err, "there is no PEM certificate in it");
    else {
        ERR_clear_error();
        return all;
    }
    ERR_clear_error();
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

struct question {
    struct slice answer;
    bool asked;
};

/* Without this OpenSSL would ask on the terminal. */
static int
answer_passphrase(char *into, int size, int writing, void *arg)
{
    struct question *q = arg;

    (void)writing;
    q->asked = true;
    if (size < 0 || q->answer.len == 0 || q->answer.len > (size_t)size)
        return -1;
    memcpy(into, q->answer.ptr, q->answer.len);
    return (int)q->answer.len;
}

static EVP_PKEY *
read_key(struct secret pem, struct question *q)
{
    BIO *bio = open_bytes(pem.bytes);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, answer_passphrase, q);

    BIO_free(bio);
    return key;
}

EVP_PKEY *
tls_pem_key(struct secret pem, const struct tls_passphrases *passphrases,
            struct error *err)
{
    struct question q = {.asked = false};
    EVP_PKEY *key = read_key(pem, &q);

    for (size_t i = 0; key == NULL && q.asked && i < passphrases->count; i++) {
        q.answer = passphrases->each[i].bytes;
        key = read_key(pem, &q);
    }
    if (key != NULL) {
        ERR_clear_error();
        return key;
    }
    if (!q.asked)
        (void)tls_error_set(err, "no usable PEM private key in it");
    else if (passphrases->count == 0)
        (void)error_set(err, "it is encrypted and there is no passphrase");
    else
        (void)error_set(err,
                        "it is encrypted, and none of %zu passphrases "
                        "opens it",
                        passphrases->count);
    ERR_clear_error();
    return NULL;
}

bool
tls_pem_add_crls(struct slice pem, X509_STORE *store, struct error *err)
{
    BIO *bio = open_bytes(pem);
    X509_CRL *one;
    int count = 0;

    while ((one = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        require(X509_STORE_add_crl(store, one) == 1);
        X509_CRL_free(one);
        count++;
    }
    BIO_free(bio);
    if (!is_at_end())
        return error_set(err, "CRL %d: %s", count + 1, tls_error_words());
    ERR_clear_error();
    return count > 0 || error_set(err, "there is no PEM CRL in it");
}

EVP_PKEY *
tls_pem_dh(struct slice pem, struct error *err)
{
    BIO *bio = open_bytes(pem);
    EVP_PKEY *dh = PEM_read_bio_Parameters(bio, NULL);

    BIO_free(bio);
    if (dh == NULL || !(EVP_PKEY_is_a(dh, "DH") || EVP_PKEY_is_a(dh, "DHX"))) {
        (void)tls_error_set(err, "no Diffie-Hellman parameters in it");
        EVP_PKEY_free(dh);
        return NULL;
    }
    ERR_clear_error();
    return dh;
}
