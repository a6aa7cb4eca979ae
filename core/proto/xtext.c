#include "proto/xtext.h"

size_t
xtext_encoded_max(size_t n)
{
    return n * 3;
}

size_t
xtext_encode(struct slice in, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
            out[len++] = (char)c;
            continue;
        }
        out[len++] = '+';
        out[len++] = hex[c >> 4];
        out[len++] = hex[c & 0xf];
    }
    return len;
}
