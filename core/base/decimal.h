/* decimal.h -- numbers as text where printf would be most of the work. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_MAX 20 /* digits of the largest */

/* Writes the digits, without a NUL, and returns how many. */
static inline size_t
decimal_put(char out[DECIMAL_MAX], uint64_t value)
{
    char reversed[DECIMAL_MAX];
    size_t len = 0;

    do {
        reversed[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}
