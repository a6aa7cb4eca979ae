/* secret_fetch.h -- secrets that come from the environment or from a program.
 *
 * Only where files are read from disk too: in the throw-away process that
 * evaluates a configuration.  Workers find the result in their bundle, by the
 * same name. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#define SECRET_MAX ((size_t)64 << 10)

/* Names begin with one of these.  What follows is a variable's name; or the
 * milliseconds that a program may take, itself and its arguments, with
 * SECRET_SEPARATOR between them. */
#define SECRET_VARIABLE  "env:"
#define SECRET_COMMAND   "command:"
#define SECRET_SEPARATOR '\x1f'

/* The value of a variable, or all that a program writes: at most SECRET_MAX
 * bytes, in time, and it must exit with 0.  `*bytes` is malloc'ed; nothing of
 * it is ever in `err`. */
bool secret_fetch(struct slice name, char **bytes, size_t *len,
                  struct error *err) MUST_USE;
