/* scram_verifier.h -- what a server knows of a password in SCRAM (RFC 5802 3).
 *
 * With it a client can be checked, and the password be guessed offline: to be
 * kept as carefully as any hash. */
#pragma once

#include "base/types.h"

enum scram_hash { SCRAM_SHA_1, SCRAM_SHA_256 };

#define SCRAM_KEY_MAX        32
#define SCRAM_SALT_MAX       64
#define SCRAM_SALT_LEN       16   /* of those that are made here */
#define SCRAM_ITERATIONS     4096 /* RFC 7677 4: no fewer */
#define SCRAM_ITERATIONS_MAX 10000000

/* The longest text of a verifier, with its NUL. */
#define SCRAM_VERIFIER_MAX 320

struct scram_verifier {
    enum scram_hash hash;
    unsigned iterations;
    size_t salt_len;
    char salt[SCRAM_SALT_MAX];
    char stored_key[SCRAM_KEY_MAX]; /* scram_key_len(hash) bytes each */
    char server_key[SCRAM_KEY_MAX];
};

/* The parts of a verifier as text; all but the first in base64. */
struct scram_parts {
    struct slice iterations, salt, stored_key, server_key;
};

size_t scram_key_len(enum scram_hash hash);

/* "SCRAM-SHA-256" */
const char *scram_hash_name(enum scram_hash hash);

/* Of which hash the parts are tells the length of the keys. */
bool scram_verifier_read(const struct scram_parts *parts,
                         struct scram_verifier *v);

/* Dovecot's "{SCRAM-SHA-256}4096,salt,stored,server" or PostgreSQL's
 * "SCRAM-SHA-256$4096:salt$stored:server". */
bool scram_verifier_parse(struct slice text, struct scram_verifier *v);

/* Writes Dovecot's text, with a NUL behind it. */
void scram_verifier_format(const struct scram_verifier *v,
                           char out[SCRAM_VERIFIER_MAX]);

/* The salt that `user` is shown who has no verifier: always the same under one
 * key, and like any other to who has not got that. */
void scram_salt(struct secret key, enum scram_hash hash, struct slice user,
                char salt[SCRAM_SALT_LEN]);

/* A verifier of that salt that no password fits. */
void scram_verifier_of_nobody(struct secret key, enum scram_hash hash,
                              unsigned iterations, struct slice user,
                              struct scram_verifier *v);
