/* base64.h -- RFC 4648 base64, strict: alphabet, padding and zero pad bits. */
#pragma once

#include "base/types.h"

/* Bytes that encoding `n` bytes gives, without a NUL. */
size_t base64_encoded_len(size_t n);

/* Writes base64_encoded_len(in.len) bytes to `out`. */
void base64_encode(struct slice in, char *out);

/* Decodes into `out`, which has room for in.len / 4 * 3 bytes, and sets
 * `*len`.  false for anything that the encoder could not have written. */
bool base64_decode(struct slice in, char *out, size_t *len);

/* The same of base64url without padding, as RFC 7515 has it; `out` has room
 * for in.len bytes. */
bool base64url_decode(struct slice in, char *out, size_t *len);
