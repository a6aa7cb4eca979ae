/* tls_error.h -- what OpenSSL complains of, in words for the log.
 *
 * The library keeps one queue of complaints a thread, not a connection: what
 * is not taken out is blamed on the next connection that asks. */
#pragma once

#include "base/error.h"

/* The oldest complaint ("no shared cipher"), and empties the queue.  Valid
 * until the next call. */
const char *tls_error_words(void);

/* Sets "<what>: <words>" and empties the queue; always returns false. */
_Bool tls_error_set(struct error *err, const char *what);
