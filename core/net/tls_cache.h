/* tls_cache.h -- TLS sessions that all workers can resume.
 *
 * For clients without tickets, mostly of TLS 1.2.  A table in a memory file
 * that the workers map: pages of packed entries, each page written under a
 * kernel lock that dies with its holder and read without one.  A worker that
 * dies while it writes costs the sessions of one page.  What is full forgets
 * its oldest; what is too long is not kept.  No call waits. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <time.h>

struct tls_cache;

#define TLS_CACHE_ID_MAX      32
#define TLS_CACHE_SESSION_MAX 3800

/* A memory file of `bytes` rounded up to whole pages, all of it allocated, so
 * that a full machine says so now; -1 with words.  To be inherited. */
int tls_cache_create(size_t bytes, struct error *err) MUST_USE;

/* Takes over `fd`, also when it fails.  NULL with words. */
struct tls_cache *tls_cache_open(int fd, struct error *err) MUST_USE;
void tls_cache_close(struct tls_cache *c); /* NULL is fine */

/* Keeps a copy until `expiry`; forgets silently when it can't. */
void tls_cache_put(struct tls_cache *c, struct slice id, struct slice session,
                   time_t expiry);

/* Copies the session into `out`, which has TLS_CACHE_SESSION_MAX bytes, and
 * returns its length; 0 when it is not known or past its end at `now`. */
size_t tls_cache_get(const struct tls_cache *c, struct slice id, time_t now,
                     char *out);
