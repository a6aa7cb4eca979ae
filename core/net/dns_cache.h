/* dns_cache.h -- answers of name servers, each for a time.
 *
 * Bounded: the answer that has not been of use for longest goes first.  Has no
 * clock: times are seconds of the caller's. */
#pragma once

#include "base/types.h"

struct dns_cache;

/* What is asked: of a name, in letters of any size, one type. */
struct dns_key {
    struct slice name;
    int type;
};

bool dns_key_equal(struct dns_key a, struct dns_key b);
uint32_t dns_key_hash(struct dns_key key);

/* What was answered; one that is found is the cache's until it is next called. */
struct dns_answer {
    const struct slice *records;
    size_t count; /* 0: there are none */
    size_t turn;  /* how often it was given before */
    double until; /* from then on it is not valid */
};

struct dns_cache *dns_cache_new(size_t entries_max, size_t bytes_max);
void dns_cache_free(struct dns_cache *c);

/* Keeps a copy, in the place of an older one.  What has no time, or would take
 * more than a sixteenth of the bytes, is not kept. */
void dns_cache_keep(struct dns_cache *c, struct dns_key key, double now,
                    const struct dns_answer *answer);

/* One more turn.  false: nothing is known, or no longer, or the clock was set
 * back. */
bool dns_cache_find(struct dns_cache *c, struct dns_key key, double now,
                    struct dns_answer *answer);

void dns_cache_clear(struct dns_cache *c);

size_t dns_cache_count(const struct dns_cache *c);
size_t dns_cache_bytes(const struct dns_cache *c);
