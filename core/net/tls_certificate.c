#include "net/tls_certificate.h"

#include "base/slice.h"
#include "net/tls_pem.h"
#include "net/tls_x509.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY 86400

static void
responder(X509 *c, char *out, size_t size)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(c);
    const char *url =
        sk_OPENSSL_STRING_num(urls) > 0 ? sk_OPENSSL_STRING_value(urls, 0) : "";

    /* A cut URL would be another one. */
    (void)snprintf(out, size, "%s", strlen(url) < size ? url : "");
    X509_email_free(urls);
    ERR_clear_error();
}

bool
tls_certificate_read(struct slice pem, struct tls_certificate *out,
                     struct error *err)
{
    STACK_OF(X509) *chain = tls_pem_certificates(pem, err);

    if (chain == NULL)
        return false;
    X509 *c = sk_X509_value(chain, 0);
    out->not_before = tls_x509_time(X509_get0_notBefore(c));
    out->not_after = tls_x509_time(X509_get0_notAfter(c));
    out->must_staple = tls_x509_must_staple(c);
    tls_x509_subject(c, out->subject, sizeof out->subject);
    tls_x509_issuer(c, out->issuer, sizeof out->issuer);
    tls_x509_serial(c, out->serial, sizeof out->serial);
    tls_x509_names(c, out->names, sizeof out->names);
    tls_x509_fingerprint(c, EVP_sha256(), out->fingerprint);
    responder(c, out->ocsp, sizeof out->ocsp);
    sk_X509_pop_free(chain, X509_free);
    return true;
}

bool
tls_certificate_warning(const struct tls_certificate *c, time_t now,
                        time_t warning, char text[640])
{
    const char *who = c->names[0] != '\0' ? c->names : c->subject;
    time_t left = c->not_after - now;

    if (now < c->not_before)
        (void)snprintf(text, 640, "%s is not valid before %lld hours from now",
                       who, (long long)((c->not_before - now) / 3600 + 1));
    else if (left <= 0)
        (void)snprintf(text, 640, "%s expired %lld days ago", who,
                       (long long)(-left / DAY));
    else if (left <= warning)
        (void)snprintf(text, 640, "%s expires in %lld days", who,
                       (long long)(left / DAY));
    else
        return false;
    return true;
}
