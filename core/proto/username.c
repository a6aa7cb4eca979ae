#include "proto/username.h"

#include "base/slice.h"
#include "base/utf8.h"

/* Length of the allowed character that begins `s`, or 0.  What counts is the
 * letter that it becomes. */
static size_t
character(const struct username_settings *settings, struct slice s)
{
    unsigned char first = (unsigned char)s.ptr[0];

    if (first < 0x20 || first == 0x7f)
        return 0;
    if (first >= 0x80)
        return settings->utf8 ? utf8_wide(s) : 0;
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
