/* crypt_argon2.h -- argon2 in one thread, whatever the hash's parallelism. */
#pragma once

#include "lua/crypt_hash.h"

/* "$argon2id$v=19$m=19456,t=2,p=1$salt$hash", also argon2i and argon2d. */
enum crypt_result crypt_argon2_verify(struct secret password,
                                      struct slice hash);
