/* decimal.h -- numbers as text where printf would be most of the work. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DECIMAL_MAX 20 /* digits of the largest */

/* Writes the digits, without a NUL, and returns how many. */
static inline size_t
decimal_put(char out[DECIMAL_MAX], uint64_t value)
{
    char digits[DECIMAL_MAX];
    size_t first = DECIMAL_MAX;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(out, digits + first, DECIMAL_MAX - first);
    return DECIMAL_MAX - first;
}
