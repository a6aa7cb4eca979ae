#include "proto/username.h"

#include "base/slice.h"

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

/* Length of the character that begins `s`, whose first byte is 0x80 or more;
 * 0 if it is no character: overlong, a surrogate, a C1 control, ... */
static size_t
wide_character(struct slice s)
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

/* Length of the allowed character that begins `s`, or 0.  What counts is the
 * letter that it becomes. */
static size_t
character(const struct username_settings *settings, struct slice s)
{
    unsigned char first = (unsigned char)s.ptr[0];

    if (first < 0x20 || first == 0x7f)
        return 0;
    if (first >= 0x80)
        return settings->utf8 ? wide_character(s) : 0;
    if (settings->allowed.len == 0)
        return 1;
    char letter = s.ptr[0];
    if (settings->letter_case == USERNAME_LOWER)
        letter = ascii_lower(letter);
    return slice_find(settings->allowed, letter) < settings->allowed.len;
}

static bool
is_allowed(const struct username_settings *settings, struct slice name)
{
    while (name.len > 0) {
        size_t len = character(settings, name);
        if (len == 0)
            return false;
        name = slice_drop(name, len);
    }
    return true;
}

static char *
append(char *end, struct slice bytes)
{
    memcpy(end, bytes.ptr, bytes.len);
    return end + bytes.len;
}

bool
username_apply(const struct username_settings *settings, struct arena *arena,
               struct slice given, struct slice *user)
{
    struct slice domain = settings->default_domain;
    bool add = domain.len > 0 && slice_find(given, '@') == given.len;
    size_t len = given.len + (add ? 1 + domain.len : 0);

    if (given.len == 0 || len > settings->max || !is_allowed(settings, given))
        return false;
    if (!add && settings->letter_case == USERNAME_KEEP) {
        *user = given;
        return true;
    }

    char *name = arena_alloc(arena, len);
    if (name == NULL)
        return false;
    char *end = append(name, given);
    if (add) {
        *end++ = '@';
        append(end, domain);
    }
    if (settings->letter_case == USERNAME_LOWER) {
        for (size_t i = 0; i < len; i++)
            name[i] = ascii_lower(name[i]);
    }
    *user = (struct slice){name, len};
    return true;
}
