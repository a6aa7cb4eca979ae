/* digest.h -- the few digests that the mechanisms and secrets need.
 *
 * Hexadecimal results are lower case, not terminated.  A false return means
 * that the library refused the algorithm (MD5 under a FIPS policy). */
#pragma once

#include "base/check.h"
#include "base/types.h"

/* Loads what OpenSSL reads from files at its first use; a process that may
 * open none later calls this when it starts. */
void digest_prepare(void);

/* MD5(a b): APOP's response to the challenge `a`. */
bool digest_md5(struct slice a, struct slice b, char hex[32]) MUST_USE;

/* HMAC-MD5: CRAM-MD5's response to a challenge. */
bool digest_hmac_md5(struct slice key, struct slice text,
                     char hex[32]) MUST_USE;

/* What Redis calls a script by; false as above. */
bool digest_sha1(struct slice text, char hex[40]) MUST_USE;

/* What OpenResty's drivers log in by. */
bool digest_hmac_sha1(struct slice key, struct slice text,
                      char hex[40]) MUST_USE;

void digest_sha256(struct slice text, char hex[64]);

void digest_hmac_sha256(struct slice key, struct slice text, char hex[64]);
/* The same, not in hexadecimal. */
void digest_hmac_sha256_bytes(struct slice key, struct slice text,
                              char out[32]);

/* In a time that depends on the lengths only. */
bool digest_equal(struct slice a, struct slice b);
