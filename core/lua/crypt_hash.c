#include "lua/crypt_hash.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/slice.h"
#include "lua/crypt_argon2.h"
#include "lua/crypt_scram.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define DECODED_MAX 512

static bool
same_bytes(struct slice a, struct slice b)
{
    return a.len == b.len &&
           (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* libcrypt wants C strings; a password with a NUL in it matches nothing. */
static enum crypt_result
verify_crypt(struct secret password, struct slice hash)
{
    enum crypt_result result = CRYPT_UNKNOWN;

    if (memchr(password.bytes.ptr, '\0', password.bytes.len) != NULL)
        return CRYPT_MISMATCH;
    if (password.bytes.len >= CRYPT_MAX_PASSPHRASE_SIZE)
        return CRYPT_MISMATCH;
    struct crypt_data *data = xcalloc(1, sizeof(*data));
    char *phrase = xstrndup(password.bytes.ptr, password.bytes.len);
    char *setting = xstrndup(hash.ptr, hash.len);
    const char *made = crypt_rn(phrase, setting, data, (int)sizeof(*data));
    if (made != NULL && made[0] != '*')
        result =
            same_bytes(slice_of(made), hash) ? CRYPT_MATCH : CRYPT_MISMATCH;
    explicit_bzero(data, sizeof(*data));
    explicit_bzero(phrase, password.bytes.len);
    free(data);
    free(phrase);
    free(setting);
    return result;
}

static enum crypt_result
verify_plain(struct secret password, struct slice hash)
{
    return same_bytes(password.bytes, hash) ? CRYPT_MATCH : CRYPT_MISMATCH;
}

/* A bare or a salted digest: the salt is behind it and was hashed last. */
static enum crypt_result
verify_digest(struct secret password, struct slice raw, const EVP_MD *kind,
              bool salted)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (kind == NULL) /* MD5 where OpenSSL runs in FIPS mode */
        return CRYPT_UNKNOWN;
    size_t size = (size_t)EVP_MD_get_size(kind);
    struct slice salt = slice_drop(raw, size);
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL)
        return CRYPT_FAILED;
    bool ok = raw.len >= size && salted == (salt.len > 0) &&
              EVP_DigestInit_ex(context, kind, NULL) == 1 &&
              EVP_DigestUpdate(context, password.bytes.ptr,
                               password.bytes.len) == 1 &&
              EVP_DigestUpdate(context, salt.ptr, salt.len) == 1 &&
              EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!ok)
        return CRYPT_UNKNOWN;
    bool same = CRYPTO_memcmp(digest, raw.ptr, size) == 0;
    explicit_bzero(digest, sizeof(digest));
    return same ? CRYPT_MATCH : CRYPT_MISMATCH;
}

enum encoding { RAW, BASE64, HEX };

enum method { PLAIN, CRYPT3, ARGON2, DIGEST, SALTED };

static const struct scheme {
    const char *name;
    enum method method;
    enum encoding encoding; /* when none is named */
    const char *digest;
} schemes[] = {
    {"PLAIN", PLAIN, RAW, NULL},
    {"CLEAR", PLAIN, RAW, NULL},
    {"CLEARTEXT", PLAIN, RAW, NULL},
    {"CRYPT", CRYPT3, RAW, NULL},
    {"MD5", CRYPT3, RAW, NULL},
    {"MD5-CRYPT", CRYPT3, RAW, NULL},
    {"SHA256-CRYPT", CRYPT3, RAW, NULL},
    {"SHA512-CRYPT", CRYPT3, RAW, NULL},
    {"BLF-CRYPT", CRYPT3, RAW, NULL},
    {"YESCRYPT", CRYPT3, RAW, NULL},
    {"ARGON2I", ARGON2, RAW, NULL},
    {"ARGON2ID", ARGON2, RAW, NULL},
    {"PLAIN-MD5", DIGEST, HEX, "MD5"},
    {"LDAP-MD5", DIGEST, BASE64, "MD5"},
    {"SMD5", SALTED, BASE64, "MD5"},
    {"SHA", DIGEST, BASE64, "SHA1"},
    {"SHA1", DIGEST, BASE64, "SHA1"},
    {"SHA256", DIGEST, BASE64, "SHA256"},
    {"SHA512", DIGEST, BASE64, "SHA512"},
    {"SSHA", SALTED, BASE64, "SHA1"},
    {"SSHA256", SALTED, BASE64, "SHA256"},
    {"SSHA512", SALTED, BASE64, "SHA512"},
};

static const struct scheme *
find_scheme(struct slice name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (slice_equal_nocase(slice_of(schemes[i].name), name))
            return &schemes[i];
    }
    return NULL;
}

static int
hex_value(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
decode_hex(struct slice in, char *out, size_t *len)
{
    *len = in.len / 2;
    for (size_t i = 0; i < *len; i++) {
        int high = hex_value(in.ptr[2 * i]), low = hex_value(in.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (char)(high * 16 + low);
    }
    return in.len % 2 == 0;
}

/* Undoes the encoding into `space` and makes `*hash` what is there. */
static bool
decode(enum encoding encoding, struct slice *hash, char space[DECODED_MAX])
{
    size_t len = 0;

    if (encoding == RAW)
        return true;
    if (hash->len > DECODED_MAX)
        return false;
    bool ok = encoding == HEX ? decode_hex(*hash, space, &len)
                              : base64_decode(*hash, space, &len);
    *hash = (struct slice){space, len};
    return ok;
}

static enum crypt_result
verify_scheme(struct secret password, struct slice name, struct slice hash)
{
    char space[DECODED_MAX];
    struct slice base = slice_cut(&name, '.');
    const struct scheme *s = find_scheme(base);

    if (s == NULL)
        return CRYPT_UNKNOWN;
    enum encoding encoding = s->encoding;
    if (slice_equal_nocase(name, S("b64")) ||
        slice_equal_nocase(name, S("base64")))
        encoding = BASE64;
    else if (slice_equal_nocase(name, S("hex")))
        encoding = HEX;
    else if (name.len > 0)
        return CRYPT_UNKNOWN;
    if (!decode(encoding, &hash, space))
        return CRYPT_UNKNOWN;

    switch (s->method) {
    case PLAIN:
        return verify_plain(password, hash);
    case CRYPT3:
        return verify_crypt(password, hash);
    case ARGON2:
        return crypt_argon2_verify(password, hash);
    case DIGEST:
    case SALTED:
        return verify_digest(password, hash, EVP_get_digestbyname(s->digest),
                             s->method == SALTED);
    }
    unreachable();
}

enum crypt_result
crypt_hash_verify(struct secret password, struct slice hash)
{
    if (crypt_scram_is(hash))
        return crypt_scram_verify(password, hash);
    if (slice_has_prefix(hash, S("{"))) {
        hash = slice_drop(hash, 1);
        size_t end = slice_find(hash, '}');
        if (end == hash.len)
            return CRYPT_UNKNOWN;
        return verify_scheme(password, slice_take(hash, end),
                             slice_drop(hash, end + 1));
    }
    if (slice_has_prefix(hash, S("$argon2")))
        return crypt_argon2_verify(password, hash);
    if (slice_has_prefix(hash, S("$")))
        return verify_crypt(password, hash);
    return CRYPT_UNKNOWN;
}

static enum crypt_result
make_argon2(struct secret password, const struct crypt_cost *cost,
            char out[CRYPT_HASH_MAX])
{
    unsigned char salt[16];

    if (RAND_bytes(salt, sizeof(salt)) != 1)
        return CRYPT_FAILED;
    int error = argon2id_hash_encoded(
        cost->rounds > 0 ? (uint32_t)cost->rounds : 2,
        cost->memory > 0 ? cost->memory : 19456, 1, password.bytes.ptr,
        password.bytes.len, salt, sizeof(salt), 32, out, CRYPT_HASH_MAX);
    if (error == ARGON2_OK)
        return CRYPT_MATCH;
    return error == ARGON2_MEMORY_ALLOCATION_ERROR ? CRYPT_FAILED
                                                   : CRYPT_UNKNOWN;
}

static const char *
crypt_prefix(enum crypt_kind kind)
{
    switch (kind) {
    case CRYPT_BCRYPT:
        return "$2b$";
    case CRYPT_SHA512:
        return "$6$";
    case CRYPT_YESCRYPT:
        return "$y$";
    case CRYPT_ARGON2ID:
    case CRYPT_SCRAM_SHA_1:
    case CRYPT_SCRAM_SHA_256:
        break;
    }
    unreachable();
}

static enum crypt_result
make_crypt(struct secret password, const struct crypt_cost *cost,
           char out[CRYPT_HASH_MAX])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE], random[32];
    enum crypt_result result = CRYPT_UNKNOWN;

    if (RAND_bytes((unsigned char *)random, sizeof(random)) != 1)
        return CRYPT_FAILED;
    if (crypt_gensalt_rn(crypt_prefix(cost->kind), cost->rounds, random,
                         (int)sizeof(random), setting,
                         (int)sizeof(setting)) == NULL)
        return CRYPT_UNKNOWN;
    struct crypt_data *data = xcalloc(1, sizeof(*data));
    char *phrase = xstrndup(password.bytes.ptr, password.bytes.len);
    const char *made = crypt_rn(phrase, setting, data, (int)sizeof(*data));
    if (made != NULL && strlen(made) < CRYPT_HASH_MAX) {
        memcpy(out, made, strlen(made) + 1);
        result = CRYPT_MATCH;
    }
    explicit_bzero(data, sizeof(*data));
    explicit_bzero(phrase, password.bytes.len);
    free(data);
    free(phrase);
    return result;
}

enum crypt_result
crypt_hash_make(struct secret password, const struct crypt_cost *cost,
                char out[CRYPT_HASH_MAX])
{
    if (cost->kind == CRYPT_ARGON2ID)
        return make_argon2(password, cost, out);
    if (cost->kind == CRYPT_SCRAM_SHA_1 || cost->kind == CRYPT_SCRAM_SHA_256)
        return crypt_scram_make(password, cost, out);
    if (memchr(password.bytes.ptr, '\0', password.bytes.len) != NULL)
        return CRYPT_UNKNOWN;
    return make_crypt(password, cost, out);
}
