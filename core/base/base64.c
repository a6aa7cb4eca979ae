#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encoded_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

void
base64_encode(struct slice in, char *out)
{
    const unsigned char *p = (const unsigned char *)in.ptr;

    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        unsigned bits = (unsigned)p[i] << 16;
        if (left > 1)
            bits |= (unsigned)p[i + 1] << 8;
        if (left > 2)
            bits |= p[i + 2];
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = (char)(left > 1 ? alphabet[bits >> 6 & 63] : '=');
        *out++ = (char)(left > 2 ? alphabet[bits & 63] : '=');
    }
}

/* Without a table look-up by secret, and without locale. */
static int
value_of(char c, const char others[2])
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == others[0] ? 62 : c == others[1] ? 63 : -1;
}

/* Decodes the first `digits` of four characters at `in`; false if one of them
 * is no digit or their last bits, which stand for nothing, are not zero. */
static bool
decode_group(const char *in, size_t digits, const char others[2], char *out)
{
    unsigned bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < digits ? value_of(in[i], others) : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
    }
    for (size_t i = 0; i + 1 < digits; i++)
        out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
    return digits == 4 || (bits & (digits == 3 ? 0xffu : 0xffffu)) == 0;
}

bool
base64_decode(struct slice in, char *out, size_t *len)
{
    size_t pad = 0;

    *len = 0;
    if (in.len % 4 != 0)
        return false;
    while (pad < 2 && pad < in.len && in.ptr[in.len - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < in.len; i += 4) {
        size_t digits = i + 4 == in.len ? 4 - pad : 4;
        if (!decode_group(in.ptr + i, digits, "+/", out + *len))
            return false;
        *len += digits - 1;
    }
    return true;
}

bool
base64url_decode(struct slice in, char *out, size_t *len)
{
    *len = 0;
    if (in.len % 4 == 1)
        return false;
    for (size_t i = 0; i < in.len; i += 4) {
        size_t digits = in.len - i < 4 ? in.len - i : 4;
        if (!decode_group(in.ptr + i, digits, "-_", out + *len))
            return false;
        *len += digits - 1;
    }
    return true;
}
