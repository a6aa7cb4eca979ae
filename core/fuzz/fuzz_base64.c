/* fuzz_base64.c -- what is decoded is what the encoder would have written. */
#include "fuzz/play.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

/* Decoding gives the bytes back, or the text was not the encoder's. */
static void
check_text(struct slice text)
{
    char *decoded = exact_copy(slice_take(text, text.len / 4 * 3));
    size_t len;

    if (base64_decode(text, decoded, &len)) {
        char *again = malloc(base64_encoded_len(len));
        base64_encode((struct slice){decoded, len}, again);
        require(
            slice_equal(text, (struct slice){again, base64_encoded_len(len)}));
        free(again);
    }
    free(decoded);
}

/* What is taken is base64url without padding of what came out: the same text
 * in the other alphabet, padded, is what the encoder writes. */
static void
check_url_text(struct slice text)
{
    char *decoded = exact_copy(text);
    size_t len;

    if (base64url_decode(text, decoded, &len)) {
        size_t full = base64_encoded_len(len);
        char *again = malloc(full);
        base64_encode((struct slice){decoded, len}, again);
        require(full - text.len < 3);
        for (size_t i = 0; i < text.len; i++) {
            char c = text.ptr[i];
            require(again[i] == (c == '-' ? '+' : c == '_' ? '/' : c));
        }
        free(again);
    }
    free(decoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    size_t len, text_len = base64_encoded_len(size);
    char *text = malloc(text_len);
    char *decoded = malloc(text_len / 4 * 3);

    base64_encode(bytes, text);
    require(base64_decode((struct slice){text, text_len}, decoded, &len));
    require(slice_equal(bytes, (struct slice){decoded, len}));
    free(text);
    free(decoded);
    check_text(bytes);
    check_url_text(bytes);
    return 0;
}
