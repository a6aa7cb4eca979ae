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

static int
digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
xtext_decode(struct slice in, char *out, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '+') {
            out[(*len)++] = in.ptr[i];
            continue;
        }
        int high = i + 2 < in.len ? digit_of(in.ptr[i + 1]) : -1;
        int low = i + 2 < in.len ? digit_of(in.ptr[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        out[(*len)++] = (char)(high << 4 | low);
        i += 2;
    }
    return true;
}
