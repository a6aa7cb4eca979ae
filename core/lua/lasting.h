/* lasting.h -- what outlives the generations of a process: its counters, what
 * it knows of upstreams, the connections to auth, HTTP and Redis servers,
 * databases and directories that are kept open, those of policies' sockets,
 * compiled patterns, and what `moongate.shared` holds. */
#pragma once

#include "base/counters.h"
#include "base/list.h"
#include "lua/regex.h"
#include "net/dns.h"
#include "session/pools.h"

#include <ev.h>

struct http_client;
struct shared;

struct lasting {
    struct ev_loop *loop;
    struct dns *dns; /* NULL where nothing is served */
    struct counters *counters;
    struct pools *pools;
    struct list auth_pools;   /* of auth_pool.h */
    struct list directories;  /* of directory.h */
    struct list redis_pools;  /* of redis_pool.h */
    struct list redis_leases; /* of redis_leases.h */
    struct http_client *http; /* NULL until the first question */
    struct shared *shared;
    struct list memos;        /* of memo.h */
    struct list socket_pools; /* of socket_pool.h */
    struct regexes regexes;
    unsigned detached; /* functions that run, see detach.h */
};

struct lasting *lasting_new(struct ev_loop *loop, struct dns *dns);
void lasting_free(struct lasting *l); /* no generation is left */

/* The one client of the process. */
struct http_client *lasting_http(struct lasting *l);
