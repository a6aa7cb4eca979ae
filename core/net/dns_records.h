/* dns_records.h -- the records of a DNS reply as text, and their time to live. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#define DNS_RECORDS_MAX 64
#define DNS_TTL_MAX     86400 /* longer ones are taken for this */

struct dns_records {
    struct slice items[DNS_RECORDS_MAX];
    char *memory[DNS_RECORDS_MAX]; /* of each item; NUL-terminated */
    size_t count;
    uint32_t ttl; /* seconds; begins at DNS_TTL_MAX, see dns_records_limit */
};

/* The number of a type name such as "MX", or 0. */
int dns_records_type(const char *name);

/* Adds the answers of `type` in `reply`; false if it is malformed.  All its
 * answers limit the time to live: aliases on the way to the records, too. */
bool dns_records_parse(struct slice reply, int type,
                       struct dns_records *records) MUST_USE;

/* Adds a copy of a record's text; what is too many is left out. */
void dns_records_add(struct dns_records *records, struct slice text);

/* They live no longer than `ttl`; what is no TTL counts as 0 (RFC 2181 8). */
void dns_records_limit(struct dns_records *records, uint32_t ttl);

/* Drops all but the first, a name, whose letters become small. */
void dns_records_keep_first(struct dns_records *r);

void dns_records_deinit(struct dns_records *r);
