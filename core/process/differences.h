/* differences.h -- what differs between two bundles, for a person to read. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "lua/bundle.h"

/* Appends, for every Lua file that differs, what diff -u prints; data files
 * and those of `tls` sections, which may hold secrets, are only named.  In a
 * process of its own: it starts diff(1). */
bool differences_write(const struct bundle *before, const struct bundle *after,
                       struct buf *text, struct error *err) MUST_USE;
