/* xtext.h -- the encoding of values in SMTP commands (RFC 3461 4). */
#pragma once

#include "base/types.h"

/* Bytes that encoding may need at most. */
size_t xtext_encoded_max(size_t n);

/* Writes `in` encoded to `out`, which has room for xtext_encoded_max(in.len)
 * bytes, and returns the length: control characters, space, '+', '=' and all
 * from 0x7f up become "+XX". */
size_t xtext_encode(struct slice in, char *out);

/* Decodes to `out`, which has room for `in.len` bytes; false if it is not
 * xtext. */
bool xtext_decode(struct slice in, char *out, size_t *len);
