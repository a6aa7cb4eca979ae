#include "base/slice.h"
#include "net/stream_tls.h"
#include "net/tls_link.h"
#include "net/tls_x509.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <time.h>

#define NAME_TEXT_MAX 1024

/* What nginx lets pass with `optional_no_ca`: nobody known signed it. */
static bool
is_about_signer(long why)
{
    return why == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           why == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           why == X509_V_ERR_CERT_UNTRUSTED ||
           why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static bool
passes(enum tls_client_certificate demand, const X509 *shown, long why)
{
    switch (demand) {
    case TLS_CLIENT_CERTIFICATE_OFF:
        return true;
    case TLS_CLIENT_CERTIFICATE_REQUIRED:
        return shown != NULL && why == X509_V_OK;
    case TLS_CLIENT_CERTIFICATE_OPTIONAL:
        return shown == NULL || why == X509_V_OK;
    case TLS_CLIENT_CERTIFICATE_OPTIONAL_NO_CA:
        return shown == NULL || why == X509_V_OK || is_about_signer(why);
    }
    unreachable();
}

static bool
copy_text(struct arena *a, const char *text, struct slice *copy)
{
    return arena_copy(a, slice_of(text), copy);
}

static bool
verify_text(struct arena *a, const X509 *shown, long why, struct slice *out)
{
    char text[256];

    if (shown == NULL)
        return copy_text(a, "NONE", out);
    if (why == X509_V_OK)
        return copy_text(a, "SUCCESS", out);
    (void)snprintf(text, sizeof text, "FAILED:%s",
                   X509_verify_cert_error_string(why));
    return copy_text(a, text, out);
}

static bool
certificate_facts(X509 *c, struct arena *a, struct tls_facts *facts)
{
    char subject[NAME_TEXT_MAX], issuer[NAME_TEXT_MAX], serial[64];
    char sha1[2 * 20 + 1], sha256[2 * 32 + 1];

    tls_x509_subject(c, subject, sizeof subject);
    tls_x509_issuer(c, issuer, sizeof issuer);
    tls_x509_serial(c, serial, sizeof serial);
    tls_x509_fingerprint(c, EVP_sha1(), sha1);
    tls_x509_fingerprint(c, EVP_sha256(), sha256);
    return copy_text(a, subject, &facts->subject) &&
           copy_text(a, issuer, &facts->issuer) &&
           copy_text(a, serial, &facts->serial) &&
           copy_text(a, sha1, &facts->fingerprint) &&
           copy_text(a, sha256, &facts->fingerprint_sha256);
}

/* OpenSSL remembers what it found when the session was made; the certificate
 * may have ended since. */
static long
judgement(const struct tls_link *l, const X509 *shown)
{
    long why = SSL_get_verify_result(l->ssl);

    if (shown == NULL || why != X509_V_OK || !SSL_session_reused(l->ssl) ||
        tls_x509_time(X509_get0_notAfter(shown)) > time(NULL))
        return why;
    return X509_V_ERR_CERT_HAS_EXPIRED;
}

static bool
client_facts(const struct tls_link *l, struct arena *a, struct tls_facts *facts)
{
    enum tls_client_certificate demand =
        tls_server_context_client_certificate(l->server);
    X509 *shown = SSL_get0_peer_certificate(l->ssl);
    long why = judgement(l, shown);

    facts->client_passes = passes(demand, shown, why);
    facts->client_asked = demand != TLS_CLIENT_CERTIFICATE_OFF;
    if (!facts->client_asked)
        return true;
    facts->client_verified = shown != NULL && why == X509_V_OK;
    return verify_text(a, shown, why, &facts->client_verify) &&
           (shown == NULL || certificate_facts(shown, a, facts));
}

bool
stream_tls_facts(const struct stream *s, struct arena *arena,
                 struct tls_facts *facts)
{
    const struct tls_link *l = s->tls;
    const unsigned char *alpn;
    unsigned alpn_len;

    require(l->up);
    *facts = (struct tls_facts){.resumed = SSL_session_reused(l->ssl) == 1};
    facts->kernel = l->kernel;
    SSL_get0_alpn_selected(l->ssl, &alpn, &alpn_len);
    return copy_text(arena, SSL_get_version(l->ssl), &facts->version) &&
           copy_text(arena, SSL_get_cipher_name(l->ssl), &facts->cipher) &&
           arena_copy(arena, stream_tls_sni(s), &facts->sni) &&
           arena_copy(arena, (struct slice){(const char *)alpn, alpn_len},
                      &facts->alpn) &&
           (l->server == NULL || client_facts(l, arena, facts));
}

bool
stream_tls_client_pem(const struct stream *s, struct arena *arena,
                      struct slice *pem)
{
    const struct tls_link *l = s->tls;
    X509 *shown = l != NULL ? SSL_get0_peer_certificate(l->ssl) : NULL;
    char *bytes;

    *pem = (struct slice){NULL, 0};
    if (shown == NULL)
        return true;
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio != NULL && PEM_write_bio_X509(bio, shown) == 1);
    long len = BIO_get_mem_data(bio, &bytes);
    bool fits = arena_copy(arena, (struct slice){bytes, (size_t)len}, pem);
    BIO_free(bio);
    return fits;
}
