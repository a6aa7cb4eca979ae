#include "proto/scram_verifier.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/slice.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t key_len;
} hashes[] = {
    [SCRAM_SHA_1] = {"SCRAM-SHA-1", 20},
    [SCRAM_SHA_256] = {"SCRAM-SHA-256", 32},
};

size_t
scram_key_len(enum scram_hash hash)
{
    return hashes[hash].key_len;
}

const char *
scram_hash_name(enum scram_hash hash)
{
    return hashes[hash].name;
}

/* A number of 1 to SCRAM_ITERATIONS_MAX; 0 if it is none. */
static unsigned
read_iterations(struct slice digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
    }
    size_t n = slice_to_size(digits);
    return n <= SCRAM_ITERATIONS_MAX ? (unsigned)n : 0;
}

/* Decodes up to `max` bytes. */
static bool
read_bytes(struct slice text, char *out, size_t max, size_t *len)
{
    char bytes[SCRAM_SALT_MAX + 3];

    if (text.len > base64_encoded_len(max) || !base64_decode(text, bytes, len))
        return false;
    bool fits = *len > 0 && *len <= max;
    if (fits)
        memcpy(out, bytes, *len);
    explicit_bzero(bytes, sizeof bytes);
    return fits;
}

bool
scram_verifier_read(const struct scram_parts *parts, struct scram_verifier *v)
{
    size_t stored, server;

    *v = (struct scram_verifier){.iterations =
                                     read_iterations(parts->iterations)};
    if (v->iterations == 0 ||
        !read_bytes(parts->salt, v->salt, sizeof v->salt, &v->salt_len) ||
        !read_bytes(parts->stored_key, v->stored_key, SCRAM_KEY_MAX, &stored) ||
        !read_bytes(parts->server_key, v->server_key, SCRAM_KEY_MAX, &server) ||
        stored != server)
        return false;
    v->hash =
        stored == hashes[SCRAM_SHA_1].key_len ? SCRAM_SHA_1 : SCRAM_SHA_256;
    return stored == hashes[v->hash].key_len;
}

static bool
find_hash(struct slice name, enum scram_hash *hash)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        if (slice_equal_nocase(name, slice_of(hashes[i].name))) {
            *hash = (enum scram_hash)i;
            return true;
        }
    }
    return false;
}

bool
scram_verifier_parse(struct slice text, struct scram_verifier *v)
{
    bool braced = slice_has_prefix(text, S("{"));
    struct slice rest = braced ? slice_drop(text, 1) : text;
    struct slice name = slice_cut(&rest, braced ? '}' : '$');
    struct scram_parts parts;
    enum scram_hash hash;

    parts.iterations = slice_cut(&rest, braced ? ',' : ':');
    parts.salt = slice_cut(&rest, braced ? ',' : '$');
    parts.stored_key = slice_cut(&rest, braced ? ',' : ':');
    parts.server_key = rest;
    return find_hash(name, &hash) && scram_verifier_read(&parts, v) &&
           v->hash == hash;
}

/* With a NUL behind it. */
static void
encode(const char *bytes, size_t len,
       char out[(SCRAM_SALT_MAX + 2) / 3 * 4 + 1])
{
    base64_encode((struct slice){bytes, len}, out);
    out[base64_encoded_len(len)] = '\0';
}

void
scram_verifier_format(const struct scram_verifier *v,
                      char out[SCRAM_VERIFIER_MAX])
{
    char salt[(SCRAM_SALT_MAX + 2) / 3 * 4 + 1];
    char stored[sizeof salt], server[sizeof salt];

    encode(v->salt, v->salt_len, salt);
    encode(v->stored_key, scram_key_len(v->hash), stored);
    encode(v->server_key, scram_key_len(v->hash), server);
    (void)snprintf(out, SCRAM_VERIFIER_MAX, "{%s}%u,%s,%s,%s",
                   scram_hash_name(v->hash), v->iterations, salt, stored,
                   server);
    explicit_bzero(stored, sizeof stored);
    explicit_bzero(server, sizeof server);
}

/* HMAC of what is derived, for whom: nobody can tell it from chance. */
static void
derive(struct secret key, const char *what, enum scram_hash hash,
       struct slice user, char out[32])
{
    char name[64], of_what[32];
    int len = snprintf(name, sizeof name, "moongate %s of %s", what,
                       scram_hash_name(hash));

    digest_hmac_sha256_bytes(key.bytes, (struct slice){name, (size_t)len},
                             of_what);
    digest_hmac_sha256_bytes((struct slice){of_what, sizeof of_what}, user,
                             out);
    explicit_bzero(of_what, sizeof of_what);
}

void
scram_salt(struct secret key, enum scram_hash hash, struct slice user,
           char salt[SCRAM_SALT_LEN])
{
    char bytes[32];

    derive(key, "salt", hash, user, bytes);
    memcpy(salt, bytes, SCRAM_SALT_LEN);
}

void
scram_verifier_of_nobody(struct secret key, enum scram_hash hash,
                         unsigned iterations, struct slice user,
                         struct scram_verifier *v)
{
    *v = (struct scram_verifier){
        .hash = hash,
        .iterations = iterations,
        .salt_len = SCRAM_SALT_LEN,
    };
    scram_salt(key, hash, user, v->salt);
    derive(key, "stored key", hash, user, v->stored_key);
    derive(key, "server key", hash, user, v->server_key);
}
