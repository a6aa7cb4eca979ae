#include "net/tls_verify.h"

#include "base/slice.h"
#include "net/tls_link.h"
#include "net/tls_x509.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <time.h>

bool
tls_verify_has_pin(const unsigned char (*pins)[TLS_PIN_SIZE], size_t count,
                   const struct x509_st *leaf)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], *der = NULL;
    bool found = false;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);

    if (len <= 0)
        return false;
    (void)SHA256(der, (size_t)len, digest);
    OPENSSL_free(der);
    for (size_t i = 0; i < count; i++)
        found |= memcmp(pins[i], digest, sizeof digest) == 0;
    return found;
}

static void
say_mismatch(struct tls_link *l, X509 *leaf)
{
    char names[256];

    tls_x509_names(leaf, names, sizeof names);
    tls_link_fail(l, "name mismatch: wanted %s, certificate has %s",
                  l->peer->name, names[0] != '\0' ? names : "none");
}

static void
say_date(struct tls_link *l, const X509 *c, const char *what)
{
    char subject[128];

    tls_x509_subject(c, subject, sizeof subject);
    tls_link_fail(l, "certificate %s (%s)", what, subject);
}

static void
say_why(struct tls_link *l, X509_STORE_CTX *x)
{
    int why = X509_STORE_CTX_get_error(x);
    X509 *current = X509_STORE_CTX_get_current_cert(x);
    X509 *leaf = X509_STORE_CTX_get0_cert(x);

    l->untrusted = true;
    switch (why) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_mismatch(l, leaf);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say_date(l, current != NULL ? current : leaf, "has expired");
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say_date(l, current != NULL ? current : leaf, "is not valid yet");
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        tls_link_fail(l, "self-signed certificate");
        return;
    default:
        tls_link_fail(l, "%s", X509_verify_cert_error_string(why));
    }
}

static bool
is_believed(struct tls_link *l, X509_STORE_CTX *x)
{
    if (l->peer->verify != TLS_VERIFY_FULL)
        return true;
    if (X509_verify_cert(x) > 0)
        return true;
    say_why(l, x);
    return false;
}

static int
on_verify(X509_STORE_CTX *x, void *arg)
{
    const SSL *ssl =
        X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_link *l = tls_link_of(ssl);
    const struct tls_peer *peer = l->peer;
    bool pinned = peer->verify == TLS_VERIFY_PIN ||
                  (peer->verify == TLS_VERIFY_FULL && peer->pin_count > 0);

    (void)arg;
    if (!is_believed(l, x))
        return 0;
    if (pinned &&
        !tls_verify_has_pin((const unsigned char(*)[TLS_PIN_SIZE])peer->pins,
                            peer->pin_count, X509_STORE_CTX_get0_cert(x))) {
        l->untrusted = true;
        tls_link_fail(l, "the certificate's key is none of the pinned ones");
        X509_STORE_CTX_set_error(x, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    X509_STORE_CTX_set_error(x, X509_V_OK);
    return 1;
}

void
tls_verify_serve(struct ssl_ctx_st *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
}

bool
tls_verify_expect(struct tls_link *l)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(l->ssl);
    const char *name = l->peer->name;

    if (l->peer->verify != TLS_VERIFY_FULL)
        return true;
    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool ok =
        name[0] != '\0' && (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ||
                            X509_VERIFY_PARAM_set1_host(param, name, 0) == 1);
    ERR_clear_error();
    return ok;
}

bool
tls_verify_again(struct tls_link *l)
{
    const X509 *leaf = SSL_get0_peer_certificate(l->ssl);

    if (l->peer->verify != TLS_VERIFY_FULL || !SSL_session_reused(l->ssl))
        return true;
    if (leaf != NULL && tls_x509_time(X509_get0_notAfter(leaf)) > time(NULL))
        return true;
    l->untrusted = true;
    tls_link_fail(l, "certificate of the resumed session has expired");
    return false;
}
