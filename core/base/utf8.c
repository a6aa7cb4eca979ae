#include "base/utf8.h"

/* Bytes of the UTF-8 sequence that `first` begins, and the smallest code point
 * that may be written with so many; 0 if none begins so. */
static size_t
sequence_len(unsigned char first, uint32_t *smallest)
{
    if (first >= 0xc2 && first <= 0xdf) {
        *smallest = 0x80;
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *smallest = 0x800;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *smallest = 0x10000;
        return 4;
    }
    return 0;
}

/* The code point that a sequence of `len` bytes at the start of `s` spells, or
 * 0 if it is broken. */
static uint32_t
code_point(struct slice s, size_t len)
{
    uint32_t value = (unsigned char)s.ptr[0] & (0x7fU >> len);

    if (s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        if ((byte & 0xc0U) != 0x80)
            return 0;
        value = value << 6 | (byte & 0x3fU);
    }
    return value;
}

size_t
utf8_wide(struct slice s)
{
    uint32_t smallest;
    size_t len = sequence_len((unsigned char)s.ptr[0], &smallest);

    if (len == 0)
        return 0;
    uint32_t value = code_point(s, len);
    if (value < smallest || value > 0x10ffff || value < 0xa0 ||
        (value >= 0xd800 && value <= 0xdfff))
        return 0;
    return len;
}
