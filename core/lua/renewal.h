/* renewal.h -- new certificates for a configuration that stays as it is.
 *
 * What `tls` sections read lies in the bundle as files of their own kind.  A
 * helper makes a new bundle, with these files as they are on disk now and
 * everything else as it was; each worker builds the TLS contexts of that
 * bundle and lets them take the place of its own.  Connections hold the
 * context that they began with, so none of them notices. */
#pragma once

#include "base/check.h"
#include "lua/evaluate.h"
#include "lua/policy_lua.h"

/* In the helper: copies `old` into `w`, files of `tls` sections from disk.
 * These are added to `plan`.  false with words. */
bool renewal_copy(const struct bundle *old, struct bundle_writer *w,
                  struct plan *plan, struct error *err) MUST_USE;

/* Whether a configuration can be built of `b`; false with words.  What is to
 * be stapled is added to `plan`. */
bool renewal_try(const struct host *host, const struct bundle *b,
                 struct plan *plan, struct error *err) MUST_USE;

/* In a worker: takes the contexts of listeners and profiles from `b`, which
 * may be closed afterwards.  `*count` is how many listeners have a new one.
 * false with words, and nothing has changed. */
bool renewal_take(struct generation *live, const struct bundle *b,
                  size_t *count, struct error *err) MUST_USE;
