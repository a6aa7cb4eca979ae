#include "lua/crypt_scram.h"

#include "base/check.h"
#include "base/slice.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

bool
crypt_scram_is(struct slice text)
{
    return slice_has_prefix_nocase(text, S("{SCRAM-")) ||
           slice_has_prefix_nocase(text, S("SCRAM-"));
}

static bool
hmac(const EVP_MD *digest, const unsigned char *key, size_t key_len,
     const char *text, unsigned char *out)
{
    return HMAC(digest, key, (int)key_len, (const unsigned char *)text,
                strlen(text), out, NULL) != NULL;
}

/* RFC 5802 3: both keys, of a password after SASLprep. */
static bool
derive(const char *password, struct scram_verifier *v)
{
    const EVP_MD *digest = v->hash == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
    size_t len = scram_key_len(v->hash);
    unsigned char salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE];

    bool ok =
        PKCS5_PBKDF2_HMAC(password, (int)strlen(password),
                          (const unsigned char *)v->salt, (int)v->salt_len,
                          (int)v->iterations, digest, (int)len, salted) == 1 &&
        hmac(digest, salted, len, "Client Key", client) &&
        EVP_Digest(client, len, (unsigned char *)v->stored_key, NULL, digest,
                   NULL) == 1 &&
        hmac(digest, salted, len, "Server Key", (unsigned char *)v->server_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client, sizeof client);
    return ok;
}

/* Sets the keys of `v`, whose hash, iterations and salt are set.  A password
 * that SASLprep refuses nobody can log in with. */
static enum crypt_result
derive_prepared(struct secret password, struct scram_verifier *v)
{
    char *prepared;

    if (memchr(password.bytes.ptr, '\0', password.bytes.len) != NULL)
        return CRYPT_UNKNOWN;
    char *text = xstrndup(password.bytes.ptr, password.bytes.len);
    int status = gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
    explicit_bzero(text, password.bytes.len);
    free(text);
    if (status != GSASL_OK)
        return CRYPT_UNKNOWN;
    bool ok = derive(prepared, v);
    explicit_bzero(prepared, strlen(prepared));
    gsasl_free(prepared);
    return ok ? CRYPT_MATCH : CRYPT_FAILED;
}

enum crypt_result
crypt_scram_verify(struct secret password, struct slice text)
{
    struct scram_verifier stored;

    if (!scram_verifier_parse(text, &stored))
        return CRYPT_UNKNOWN;
    struct scram_verifier made = stored;
    enum crypt_result result = derive_prepared(password, &made);
    if (result == CRYPT_MATCH &&
        CRYPTO_memcmp(made.stored_key, stored.stored_key,
                      scram_key_len(stored.hash)) != 0)
        result = CRYPT_MISMATCH;
    explicit_bzero(&made, sizeof made);
    explicit_bzero(&stored, sizeof stored);
    return result == CRYPT_UNKNOWN ? CRYPT_MISMATCH : result;
}

enum crypt_result
crypt_scram_make(struct secret password, const struct crypt_cost *cost,
                 char out[CRYPT_HASH_MAX])
{
    struct scram_verifier v = {
        .hash = cost->kind == CRYPT_SCRAM_SHA_1 ? SCRAM_SHA_1 : SCRAM_SHA_256,
        .iterations =
            cost->rounds > 0 ? (unsigned)cost->rounds : SCRAM_ITERATIONS,
        .salt_len = cost->salt_len,
    };

    memcpy(v.salt, cost->salt, cost->salt_len);
    if (v.salt_len == 0) {
        v.salt_len = SCRAM_SALT_LEN;
        if (RAND_bytes((unsigned char *)v.salt, SCRAM_SALT_LEN) != 1)
            return CRYPT_FAILED;
    }
    enum crypt_result result = derive_prepared(password, &v);
    if (result == CRYPT_MATCH)
        scram_verifier_format(&v, out);
    explicit_bzero(&v, sizeof v);
    return result;
}
