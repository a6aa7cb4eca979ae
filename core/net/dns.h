/* dns.h -- names to addresses and back, by c-ares on the worker's loop. */
#pragma once

#include "base/error.h"
#include "net/addr.h"

#include <ev.h>

struct dns;       /* one a worker */
struct dns_query; /* one question under way */

enum dns_status { DNS_OK, DNS_NOT_FOUND, DNS_TIMEOUT, DNS_FAILED };

struct dns_options {
    const char *servers; /* "ip[:port],..."; empty or NULL: the system's */
    double valid;        /* seconds that answers are kept for; 0: their TTL's */
};

/* Opens what files it needs (resolv.conf, hosts) now, none later. */
struct dns *dns_new(struct ev_loop *loop, const struct dns_options *options,
                    struct error *err);
void dns_free(struct dns *d);

/* Forgets the answers that are kept. */
void dns_forget(struct dns *d);

/* Called once per query, never from inside dns_resolve and never after
 * dns_cancel.  Arrays are the caller's only during the call. */
typedef void (*dns_addresses_fn)(void *arg, enum dns_status status,
                                 const struct addr *addresses, size_t count);
typedef void (*dns_records_fn)(void *arg, enum dns_status status,
                               const struct slice *records, size_t count);

enum dns_family { DNS_ANY, DNS_V4, DNS_V6 };

struct dns_question {
    const char *name;
    double timeout;         /* seconds */
    enum dns_family family; /* dns_resolve: of which addresses */
    uint16_t port;          /* dns_resolve: to set in the addresses */
    const char *type;       /* dns_lookup: "A" "AAAA" "CNAME" "MX" "NS" "PTR"
                               "SRV" "TXT"; others are DNS_FAILED */
};

/* Addresses of a name or an IP literal. */
struct dns_query *dns_resolve(struct dns *d, const struct dns_question *asked,
                              dns_addresses_fn done, void *arg);

/* Records as text: MX "10 host", SRV "priority weight port target".  For PTR
 * the name may be an IP literal. */
struct dns_query *dns_lookup(struct dns *d, const struct dns_question *asked,
                             dns_records_fn done, void *arg);

/* The verified reverse name of a client, as nginx does it for SMTP: PTR, then
 * charset check, then the forward lookup must contain the address.  `records`
 * is one name, or none with DNS_NOT_FOUND (NXDOMAIN, mismatch) or DNS_FAILED. */
struct dns_query *dns_reverse(struct dns *d, const struct addr *client,
                              double timeout, dns_records_fn done, void *arg);

void dns_cancel(struct dns_query *q); /* NULL is fine */
