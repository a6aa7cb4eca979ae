/* slice.h -- cutting and comparing borrowed bytes without copying them. */
#pragma once

#include "base/types.h"

#include <string.h>

/* A slice over a string literal, its terminating NUL left out. */
#define S(literal) ((struct slice){"" literal, sizeof(literal) - 1})

static inline struct slice
slice_drop(struct slice s, size_t n)
{
    n = n < s.len ? n : s.len;
    return (struct slice){s.ptr + n, s.len - n};
}

static inline struct slice
slice_take(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n < s.len ? n : s.len};
}

/* Removes `tail` from the end of `s` if it is there. */
static inline bool
slice_drop_suffix(struct slice *s, struct slice tail)
{
    if (s->len < tail.len ||
        memcmp(s->ptr + s->len - tail.len, tail.ptr, tail.len) != 0)
        return false;
    s->len -= tail.len;
    return true;
}

/* The decimal number `digits` spells, or SIZE_MAX if it does not fit. */
static inline size_t
slice_to_size(struct slice digits)
{
    size_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        size_t digit = (size_t)(digits.ptr[i] - '0');
        if (value > (SIZE_MAX - digit) / 10)
            return SIZE_MAX;
        value = value * 10 + digit;
    }
    return value;
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char
ascii_lower(char c)
{
    if (c < 'A' || c > 'Z')
        return c;
    return (char)(c + 'a' - 'A');
}

/* ASCII case does not matter; bytes from 0x80 up must be the same.  From the
 * end, as the names that are compared often begin alike. */
static inline bool
slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = a.len; i-- > 0;) {
        if (a.ptr[i] != b.ptr[i] &&
            ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

/* The same with a C string, whose length need not be known. */
static inline bool
slice_spells(struct slice s, const char *word)
{
    size_t i = 0;

    while (i < s.len && word[i] != '\0' &&
           ascii_lower(s.ptr[i]) == ascii_lower(word[i]))
        i++;
    return i == s.len && word[i] == '\0';
}

static inline bool
slice_has_prefix(struct slice s, struct slice head)
{
    return s.len >= head.len && slice_equal(slice_take(s, head.len), head);
}

static inline bool
slice_has_prefix_nocase(struct slice s, struct slice head)
{
    return s.len >= head.len &&
           slice_equal_nocase(slice_take(s, head.len), head);
}

/* A slice over a C string. */
static inline struct slice
slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Where `c` first is in `s`, or s.len. */
static inline size_t
slice_find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at == NULL ? s.len : (size_t)(at - s.ptr);
}

/* Cuts off and returns what stands before the first `c`, and drops the `c`
 * itself; all of `s` when there is none. */
static inline struct slice
slice_cut(struct slice *s, char c)
{
    size_t at = slice_find(*s, c);
    struct slice head = slice_take(*s, at);
    *s = slice_drop(*s, at + 1);
    return head;
}
