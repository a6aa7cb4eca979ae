#include "net/tls_x509.h"

#include "base/check.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define TLSFEATURE_STATUS_REQUEST 5
#define HEX                       "0123456789abcdef"

time_t
tls_x509_time(const ASN1_TIME *t)
{
    struct tm broken_down;

    if (t == NULL || ASN1_TIME_to_tm(t, &broken_down) != 1)
        return 0;
    return timegm(&broken_down);
}

static void
copy_bio(BIO *bio, char *out, size_t size)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    size_t n = len < 0 ? 0 : (size_t)len;

    n = n < size ? n : size - 1;
    memcpy(out, bytes, n);
    out[n] = '\0';
    BIO_free(bio);
}

static BIO *
memory(void)
{
    BIO *bio = BIO_new(BIO_s_mem());

    require(bio != NULL);
    return bio;
}

static void
print_name(const X509_NAME *name, char *out, size_t size)
{
    BIO *bio = memory();

    (void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    copy_bio(bio, out, size);
}

void
tls_x509_subject(const X509 *c, char *out, size_t size)
{
    print_name(X509_get_subject_name(c), out, size);
}

void
tls_x509_issuer(const X509 *c, char *out, size_t size)
{
    print_name(X509_get_issuer_name(c), out, size);
}

void
tls_x509_serial(X509 *c, char *out, size_t size)
{
    BIO *bio = memory();

    (void)i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(c));
    copy_bio(bio, out, size);
}

static bool
is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ',')
            return false;
    }
    return name.len > 0;
}

static struct slice
string_bytes(const ASN1_STRING *s)
{
    int len = ASN1_STRING_length(s);

    return (struct slice){(const char *)ASN1_STRING_get0_data(s),
                          len < 0 ? 0 : (size_t)len};
}

static void
each_common_name(const X509 *c, void (*each)(void *, struct slice), void *arg)
{
    X509_NAME *subject = X509_get_subject_name(c);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (at < 0)
        return;
    struct slice name = string_bytes(
        X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (is_plain(name))
        each(arg, name);
}

static void
each_alternative(const GENERAL_NAMES *names, void (*each)(void *, struct slice),
                 void *arg)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        ASN1_STRING *value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type == GEN_DNS && is_plain(string_bytes(value)))
            each(arg, string_bytes(value));
    }
}

void
tls_x509_each_name(X509 *c, void (*each)(void *arg, struct slice name),
                   void *arg)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);

    if (names != NULL)
        each_alternative(names, each, arg);
    else
        each_common_name(c, each, arg);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

struct text {
    char *out;
    size_t size, len;
    bool cut;
};

static void
append_name(void *arg, struct slice name)
{
    struct text *t = arg;
    const char *comma = t->len > 0 ? ", " : "";

    /* Room stays for ", ...". */
    if (t->cut ||
        t->len + strlen(comma) + name.len + sizeof ", ..." > t->size) {
        t->cut = true;
        return;
    }
    t->len += (size_t)snprintf(t->out + t->len, t->size - t->len, "%s%.*s",
                               comma, (int)name.len, name.ptr);
}

static void
append_addresses(X509 *c, struct text *t)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        char address[64];
        if (type != GEN_IPADD)
            continue;
        struct slice raw = string_bytes(value);
        if (inet_ntop(raw.len == 4 ? AF_INET : AF_INET6, raw.ptr, address,
                      sizeof address) != NULL &&
            (raw.len == 4 || raw.len == 16))
            append_name(t, slice_of(address));
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

void
tls_x509_names(X509 *c, char *out, size_t size)
{
    struct text t = {.out = out, .size = size};

    out[0] = '\0';
    tls_x509_each_name(c, append_name, &t);
    append_addresses(c, &t);
    if (t.cut)
        (void)snprintf(out + t.len, size - t.len, "%s...",
                       t.len > 0 ? ", " : "");
}

void
tls_x509_fingerprint(const X509 *c, const EVP_MD *digest, char *hex)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    require(X509_digest(c, digest, raw, &len) == 1);
    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = HEX[raw[i] >> 4];
        hex[2 * i + 1] = HEX[raw[i] & 15];
    }
    hex[2 * (size_t)len] = '\0';
}

bool
tls_x509_must_staple(const X509 *c)
{
    TLS_FEATURE *features = X509_get_ext_d2i(c, NID_tlsfeature, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
        found |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) ==
                 TLSFEATURE_STATUS_REQUEST;
    TLS_FEATURE_free(features);
    ERR_clear_error();
    return found;
}
