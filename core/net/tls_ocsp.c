#include "net/tls_ocsp.h"

#include "net/tls_error.h"
#include "net/tls_pem.h"
#include "net/tls_x509.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#define CLOCK_SKEW 300 /* seconds that the responder's clock may be off */
#define NO_END     3600
#define DER_MAX    16384

/* The certificate's id in OCSP: issuer and serial number, SHA-1 as every
 * responder understands. */
static OCSP_CERTID *
id_of(const struct tls_ocsp_subject *s)
{
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), s->leaf, s->issuer);

    require(id != NULL);
    return id;
}

static bool
find_subject(STACK_OF(X509) * chain, struct tls_ocsp_subject *s,
             struct error *err)
{
    s->leaf = sk_X509_value(chain, 0);
    for (int i = 1; i < sk_X509_num(chain); i++) {
        s->issuer = sk_X509_value(chain, i);
        if (X509_check_issued(s->issuer, s->leaf) == X509_V_OK)
            return true;
    }
    return error_set(err, "the issuer's certificate is not in the chain");
}

bool
tls_ocsp_request(struct slice chain, struct buf *der, struct error *err)
{
    STACK_OF(X509) *all = tls_pem_certificates(chain, err);
    struct tls_ocsp_subject subject = {NULL, NULL};
    unsigned char *bytes = NULL;

    if (all == NULL)
        return false;
    if (!find_subject(all, &subject, err)) {
        sk_X509_pop_free(all, X509_free);
        return false;
    }
    /* No nonce: responders hand out answers that they signed before. */
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    require(request != NULL &&
            OCSP_request_add0_id(request, id_of(&subject)) != NULL);
    int len = i2d_OCSP_REQUEST(request, &bytes);
    require(len > 0);
    bool fits =
        buf_append(der, (struct slice){(const char *)bytes, (size_t)len});
    OPENSSL_free(bytes);
    OCSP_REQUEST_free(request);
    sk_X509_pop_free(all, X509_free);
    return fits || error_set(err, "the request is too long");
}

/* Signed by the issuer itself, or by a responder that the issuer named. */
static bool
is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *known = sk_X509_new_null();

    require(store != NULL && known != NULL && sk_X509_push(known, issuer) > 0);
    require(X509_STORE_add_cert(store, issuer) == 1 &&
            X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1);
    bool ok = OCSP_basic_verify(basic, known, store, 0) == 1;
    sk_X509_free(known);
    X509_STORE_free(store);
    return ok;
}

struct answer {
    int status;
    time_t from, until; /* 0: no end */
};

static bool
find_answer(OCSP_BASICRESP *basic, const struct tls_ocsp_subject *s,
            struct answer *a)
{
    OCSP_CERTID *id = id_of(s);
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int found =
        OCSP_resp_find_status(basic, id, &a->status, NULL, NULL, &from, &until);

    OCSP_CERTID_free(id);
    a->from = tls_x509_time(from);
    a->until = tls_x509_time(until);
    return found == 1;
}

static bool
check_basic(OCSP_BASICRESP *basic, const struct tls_ocsp_subject *s, time_t now,
            time_t *until, struct error *err)
{
    struct answer a = {.status = V_OCSP_CERTSTATUS_UNKNOWN};

    if (!is_signed(basic, s->issuer))
        return tls_error_set(err, "signature");
    if (!find_answer(basic, s, &a))
        return error_set(err, "it is about another certificate");
    if (a.status != V_OCSP_CERTSTATUS_GOOD)
        return error_set(err, "the certificate's status is \"%s\"",
                         OCSP_cert_status_str(a.status));
    if (a.from > now + CLOCK_SKEW)
        return error_set(err, "it is from the future");
    if (a.until != 0 && a.until <= now)
        return error_set(err, "it is out of date");
    *until = a.until != 0 ? a.until : now + NO_END;
    return true;
}

bool
tls_ocsp_check_for(const struct tls_ocsp_subject *subject, struct slice der,
                   time_t now, time_t *until, struct error *err)
{
    const unsigned char *at = (const unsigned char *)der.ptr;

    if (der.len > DER_MAX)
        return error_set(err, "an OCSP response longer than %d bytes", DER_MAX);
    ERR_clear_error();
    OCSP_RESPONSE *response =
        der.len > 0 ? d2i_OCSP_RESPONSE(NULL, &at, (long)der.len) : NULL;
    if (response == NULL || at != (const unsigned char *)der.ptr + der.len) {
        OCSP_RESPONSE_free(response);
        ERR_clear_error();
        return error_set(err, "this is no OCSP response");
    }
    int status = OCSP_response_status(response);
    OCSP_BASICRESP *basic = status == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(response)
                                : NULL;
    bool good = false;
    if (basic == NULL)
        (void)error_set(err, "the responder says \"%s\"",
                        OCSP_response_status_str(status));
    else
        good = check_basic(basic, subject, now, until, err);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return good;
}

bool
tls_ocsp_check(struct slice chain, struct slice der, time_t now, time_t *until,
               struct error *err)
{
    STACK_OF(X509) *all = tls_pem_certificates(chain, err);
    struct tls_ocsp_subject subject = {NULL, NULL};

    if (all == NULL)
        return false;
    bool good = find_subject(all, &subject, err) &&
                tls_ocsp_check_for(&subject, der, now, until, err);
    sk_X509_pop_free(all, X509_free);
    return good;
}
