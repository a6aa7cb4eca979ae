/* dns_flights.h -- questions to name servers, each asked once.
 *
 * Who asks what was asked a moment ago waits with the others, and who asks what
 * is known has the answer at once.  Failures, and names that do not exist, are
 * never kept: the next who asks has them looked up again. */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "net/dns.h"
#include "net/dns_cache.h"

#include <arpa/nameser.h>

struct dns_flights;

/* Types of their own, beside those of records (ns_t_...): the addresses of a
 * host, as text, which the search domains of the system may complete. */
enum { DNS_HOST_V4 = 0x10000 + ns_t_a, DNS_HOST_V6 = 0x10000 + ns_t_aaaa };

/* Somebody who waits for an answer; in a list until then. */
struct dns_wait {
    struct list link;
    /* Maybe from inside dns_flights_ask; `answer` is empty unless DNS_OK, and
     * valid during the call. */
    void (*answered)(void *arg, enum dns_status status,
                     const struct dns_answer *answer);
    void *arg;
};

struct dns_flights *dns_flights_new(struct ev_loop *loop,
                                    const struct dns_options *options,
                                    struct error *err);
/* Nobody may wait any longer. */
void dns_flights_free(struct dns_flights *f);

/* `w` is not in a list. */
void dns_flights_ask(struct dns_flights *f, struct dns_key key,
                     struct dns_wait *w);

/* Waits no longer; the question goes on for others.  Twice is harmless. */
void dns_flights_leave(struct dns_wait *w);

/* Forgets what is kept. */
void dns_flights_forget(struct dns_flights *f);
