/* crypt_scram.h -- verifiers of SCRAM, made of passwords and checked by them.
 * Slow on purpose: called in the threads of crypt_pool.c only. */
#pragma once

#include "lua/crypt_hash.h"
#include "proto/scram_verifier.h"

/* Whether `text` is a verifier rather than another hash. */
bool crypt_scram_is(struct slice text);

enum crypt_result crypt_scram_verify(struct secret password, struct slice text);

/* Makes Dovecot's text of one of cost->salt, or of a random salt. */
enum crypt_result crypt_scram_make(struct secret password,
                                   const struct crypt_cost *cost,
                                   char out[CRYPT_HASH_MAX]);
