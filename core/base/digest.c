#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

void
digest_prepare(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
}

static void
to_hex(const unsigned char *bytes, size_t len, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
}

bool
digest_md5(struct slice a, struct slice b, char hex[32])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL &&
              EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(context, a.ptr, a.len) == 1 &&
              EVP_DigestUpdate(context, b.ptr, b.len) == 1 &&
              EVP_DigestFinal_ex(context, md, NULL) == 1;

    EVP_MD_CTX_free(context);
    if (ok)
        to_hex(md, 16, hex);
    return ok;
}

bool
digest_sha1(struct slice text, char hex[40])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    if (EVP_Digest(text.ptr, text.len, md, NULL, EVP_sha1(), NULL) != 1)
        return false;
    to_hex(md, 20, hex);
    return true;
}

void
digest_sha256(struct slice text, char hex[64])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    require(EVP_Digest(text.ptr, text.len, md, NULL, EVP_sha256(), NULL) == 1);
    to_hex(md, 32, hex);
}

static bool
hmac(const EVP_MD *algorithm, struct slice key, struct slice text,
     unsigned char md[EVP_MAX_MD_SIZE])
{
    /* OpenSSL takes a NULL key for "the last one". */
    const char *bytes = key.len > 0 ? key.ptr : "";

    return HMAC(algorithm, bytes, (int)key.len, (const unsigned char *)text.ptr,
                text.len, md, NULL) != NULL;
}

bool
digest_hmac_md5(struct slice key, struct slice text, char hex[32])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    if (!hmac(EVP_md5(), key, text, md))
        return false;
    to_hex(md, 16, hex);
    return true;
}

bool
digest_hmac_sha1(struct slice key, struct slice text, char hex[40])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    if (!hmac(EVP_sha1(), key, text, md))
        return false;
    to_hex(md, 20, hex);
    return true;
}

void
digest_hmac_sha256(struct slice key, struct slice text, char hex[64])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    require(hmac(EVP_sha256(), key, text, md));
    to_hex(md, 32, hex);
}

void
digest_hmac_sha256_bytes(struct slice key, struct slice text, char out[32])
{
    unsigned char md[EVP_MAX_MD_SIZE];

    require(hmac(EVP_sha256(), key, text, md));
    memcpy(out, md, 32);
}

bool
digest_equal(struct slice a, struct slice b)
{
    return a.len == b.len &&
           (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}
