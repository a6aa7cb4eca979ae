/* username.h -- which user names a listener takes, and how it spells them. */
#pragma once

#include "base/arena.h"
#include "base/types.h"

enum username_case { USERNAME_KEEP, USERNAME_LOWER };

struct username_settings {
    enum username_case letter_case;
    struct slice default_domain; /* appended as "@domain" when there is none */
    struct slice allowed;        /* allowed ASCII characters; empty: all but
                                    control characters */
    bool utf8;                   /* bytes from 0x80 up, if valid UTF-8 */
    unsigned max;                /* bytes, with the domain; 512 */
};

/* Sets `*user` to what `given` means on this listener: a copy in the arena if
 * it differs.  Run on every name before any policy sees it.  false if there is
 * no such user: empty, too long, a control character, a character that is not
 * allowed, or no UTF-8.  The login is then refused as bad credentials. */
bool username_apply(const struct username_settings *settings,
                    struct arena *arena, struct slice given,
                    struct slice *user);
