/* dns_records.h -- the records of a DNS reply as text. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#define DNS_RECORDS_MAX 64

struct dns_records {
    struct slice items[DNS_RECORDS_MAX];
    char *memory[DNS_RECORDS_MAX]; /* of each item; NUL-terminated */
    size_t count;
};

/* The number of a type name such as "MX", or 0. */
int dns_records_type(const char *name);

/* Adds the answers of `type` in `reply`; false if it is malformed. */
bool dns_records_parse(struct slice reply, int type,
                       struct dns_records *records) MUST_USE;

/* Adds a copy of a record's text; what is too many is left out. */
void dns_records_add(struct dns_records *records, struct slice text);

/* Drops all but the first, a name, whose letters become small. */
void dns_records_keep_first(struct dns_records *r);

void dns_records_deinit(struct dns_records *r);
