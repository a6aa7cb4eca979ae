/* fuzz_xtext.c -- any bytes as a value of XCLIENT: clean, and decodable. */
#include "base/check.h"
#include "base/slice.h"
#include "proto/xtext.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
digit(char c)
{
    require((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

static void
check(struct slice in, struct slice out)
{
    size_t at = 0;

    for (size_t i = 0; i < in.len; i++) {
        require(at < out.len);
        unsigned char c = (unsigned char)out.ptr[at++];
        require(c > ' ' && c < 0x7f && c != '=');
        if (c == '+') {
            require(at + 2 <= out.len);
            c = (unsigned char)(digit(out.ptr[at]) * 16 +
                                digit(out.ptr[at + 1]));
            at += 2;
        }
        require(c == (unsigned char)in.ptr[i]);
    }
    require(at == out.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    char *out = xmalloc(xtext_encoded_max(size) + 1);

    struct slice encoded = {out, xtext_encode(in, out)};
    char *decoded = xmalloc(encoded.len + 1);
    size_t len;

    check(in, encoded);
    require(xtext_decode(encoded, decoded, &len));
    require(slice_equal((struct slice){decoded, len}, in));
    if (xtext_decode(in, decoded, &len)) /* which is any text */
        require(len <= in.len);
    free(decoded);
    free(out);
    return 0;
}
