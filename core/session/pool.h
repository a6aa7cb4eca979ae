/* pool.h -- which member of a pool a login goes to.
 *
 * Members that are up come first, then the backups that are up.  When all are
 * down, the one whose last failure is longest ago is tried, and no other: the
 * pool may be back, but nobody waits for all of it.  Declarations only. */
#pragma once

#include "session/pools.h"

#define POOL_MEMBERS_MAX 256

enum balance {
    BALANCE_LEAST, /* the fewest sessions of this worker, by weight */
    BALANCE_ROUND_ROBIN,
    BALANCE_HASH, /* the same key goes to the same member while that is up */
};

struct pool_member {
    struct slice host;
    uint16_t port;
    unsigned weight;       /* at least 1 */
    bool backup;           /* only when no other is up */
    struct member *member; /* a reference */
};

/* A pool as the configuration has it. */
struct pool {
    struct slice name;
    struct pool_member *members;
    size_t count; /* at least 1 */
    enum balance balance;
    struct member_limits limits;
};

/* What one login has tried of a pool; all zero at first. */
struct pool_tries {
    uint64_t tried[POOL_MEMBERS_MAX / 64];
    bool last_resort; /* all were down, and one was tried nevertheless */
};

/* The member that is tried next, which is noted in `tries`; NULL when none is
 * left.  With a `key` (not empty) it is chosen by hash. */
/* The member that is tried next, which is noted in `tries`; NULL when none is
 * left.  `key` is what BALANCE_HASH goes by. */
const struct pool_member *pool_choose(const struct pool *p, struct slice key,
                                      enum balance balance, double now,
                                      struct pool_tries *tries);

/* Whether one is left. */
bool pool_has_more(const struct pool *p, const struct pool_tries *tries);
