/* format.h -- vsnprintf for what is written at every login.
 *
 * Formats with no more than "%s" and "%.*s" are filled in here, at a fifth of
 * its cost; all others are handed to it. */
#pragma once

#include "base/types.h"

#include <stdarg.h>

/* As vsnprintf: writes what fits, with a NUL; returns the whole length, or
 * less than 0. */
int format_text(char *out, size_t room, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
