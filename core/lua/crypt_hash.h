/* crypt_hash.h -- password hashes of every common kind.  Slow on purpose:
 * called in a thread only, see crypt_job.h. */
#pragma once

#include "base/types.h"
#include "proto/scram_verifier.h"

enum crypt_result {
    CRYPT_MATCH,
    CRYPT_MISMATCH,
    CRYPT_UNKNOWN, /* not a hash that can be checked here */
    CRYPT_FAILED,  /* no memory for it */
};

/* Takes crypt(3) strings ("$2b$", "$6$", "$y$", ...), "$argon2id$" and
 * "$argon2i$", Dovecot's "{SCHEME}..." with ".b64" or ".hex" if need be, and
 * verifiers of SCRAM.
 * Compares in constant time. */
enum crypt_result crypt_hash_verify(struct secret password, struct slice hash);

enum crypt_kind {
    CRYPT_ARGON2ID,
    CRYPT_BCRYPT,
    CRYPT_SHA512,
    CRYPT_YESCRYPT,
    CRYPT_SCRAM_SHA_1,
    CRYPT_SCRAM_SHA_256,
};

struct crypt_cost {
    enum crypt_kind kind;
    unsigned long rounds; /* argon2id: passes; 0: default */
    unsigned memory;      /* argon2id: KiB; 0: 19456 */
    size_t salt_len;      /* SCRAM; 0: a random salt */
    char salt[SCRAM_SALT_MAX];
};

#define CRYPT_HASH_MAX 512

/* A fresh hash with a random salt, NUL-terminated. */
enum crypt_result crypt_hash_make(struct secret password,
                                  const struct crypt_cost *cost,
                                  char out[CRYPT_HASH_MAX]);
