#include "net/tls_foreign.h"

#include "base/slice.h"
#include "net/tls_verify.h"
#include "net/tls_x509.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define HOST_MAX 253

/* Arms the check of the name; false when the name is impossible. */
static bool
expect_name(X509_STORE_CTX *x, struct slice name)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(x);
    char text[HOST_MAX + 1];

    if (name.len == 0 || name.len > HOST_MAX)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_ip_asc(param, text) == 1 ||
           X509_VERIFY_PARAM_set1_host(param, text, 0) == 1;
}

static bool
say_why(X509_STORE_CTX *x, X509 *leaf, struct slice name, struct error *err)
{
    int why = X509_STORE_CTX_get_error(x);
    char names[256];

    if (why != X509_V_ERR_HOSTNAME_MISMATCH &&
        why != X509_V_ERR_IP_ADDRESS_MISMATCH)
        return error_set(err, "%s", X509_verify_cert_error_string(why));
    tls_x509_names(leaf, names, sizeof names);
    return error_set(err, "name mismatch: wanted %.*s, certificate has %s",
                     (int)name.len, name.ptr, *names != '\0' ? names : "none");
}

/* Chain, dates and name. */
static bool
is_believed(SSL *ssl, X509 *leaf, const struct tls_client_context *c,
            struct slice name, struct error *err)
{
    const struct tls_trust *trust = tls_client_context_trust(c);
    X509_STORE_CTX *x = X509_STORE_CTX_new();
    bool fine = false;

    if (x == NULL || trust == NULL ||
        X509_STORE_CTX_init(x, tls_trust_store(trust), leaf,
                            SSL_get_peer_cert_chain(ssl)) != 1 ||
        X509_STORE_CTX_set_default(x, "ssl_server") != 1 ||
        !expect_name(x, name))
        (void)error_set(err, "the certificate can't be checked");
    else if (X509_verify_cert(x) == 1)
        fine = true;
    else
        (void)say_why(x, leaf, name, err);
    X509_STORE_CTX_free(x);
    ERR_clear_error();
    return fine;
}

bool
tls_foreign_check(struct ssl_st *ssl, const struct tls_client_context *c,
                  const struct tls_target *target, struct error *err)
{
    X509 *leaf = ssl != NULL && SSL_is_init_finished(ssl)
                     ? SSL_get0_peer_certificate(ssl)
                     : NULL;
    bool pinned = target->verify == TLS_VERIFY_PIN ||
                  (target->verify == TLS_VERIFY_FULL && target->pin_count > 0);

    if (leaf == NULL)
        return error_set(err, "there is no certificate");
    if (target->verify == TLS_VERIFY_FULL &&
        !is_believed(ssl, leaf, c, target->name, err))
        return false;
    if (pinned && !tls_verify_has_pin(target->pins, target->pin_count, leaf))
        return error_set(err,
                         "the certificate's key is none of the pinned ones");
    return true;
}
