#include "session/pool.h"

#include "base/check.h"
#include "base/slice.h"
#include "session/member.h"

#include <math.h>

/* The members that may be tried now: those at the indices that are set. */
struct choice {
    const struct pool *pool;
    uint64_t open[POOL_MEMBERS_MAX / 64];
    bool any;
};

static bool
has(const uint64_t *set, size_t i)
{
    return (set[i / 64] >> (i % 64) & 1) != 0;
}

static void
add(uint64_t *set, size_t i)
{
    set[i / 64] |= (uint64_t)1 << (i % 64);
}

static struct choice
usable(const struct pool *p, const struct pool_tries *tries, bool backup,
       double now)
{
    struct choice c = {.pool = p};

    for (size_t i = 0; i < p->count; i++) {
        const struct pool_member *m = &p->members[i];
        if (m->backup != backup || has(tries->tried, i) ||
            !member_is_usable(m->member, now))
            continue;
        add(c.open, i);
        c.any = true;
    }
    return c;
}

/* Fewer sessions for its weight; of two that are equal, that which was chosen
 * longer ago.  The login that is being placed counts. */
static bool
is_less_loaded(const struct pool_member *a, const struct pool_member *b)
{
    uint64_t left = (uint64_t)(a->member->sessions + 1) * b->weight;
    uint64_t right = (uint64_t)(b->member->sessions + 1) * a->weight;

    return left < right ||
           (left == right && a->member->chosen < b->member->chosen);
}

static size_t
least(const struct choice *c)
{
    const struct pool *p = c->pool;
    size_t best = p->count;

    for (size_t i = 0; i < p->count; i++) {
        if (has(c->open, i) &&
            (best == p->count ||
             is_less_loaded(&p->members[i], &p->members[best])))
            best = i;
    }
    return best;
}

/* Smooth weighted round robin: everybody earns its weight, the richest is
 * chosen and pays for all. */
static size_t
in_turn(const struct choice *c)
{
    const struct pool *p = c->pool;
    size_t best = p->count;
    long total = 0;

    for (size_t i = 0; i < p->count; i++) {
        struct pool_member *m = &p->members[i];
        if (!has(c->open, i))
            continue;
        m->member->credit += (long)m->weight;
        total += (long)m->weight;
        if (best == p->count ||
            m->member->credit > p->members[best].member->credit)
            best = i;
    }
    if (best < p->count)
        p->members[best].member->credit -= total;
    return best;
}

/* The same on every machine and after every start. */
static uint64_t
hash(uint64_t h, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211U; /* FNV-1a */
    h ^= h >> 33; /* the finish of MurmurHash3: FNV leaves the end unmixed */
    h *= 0xff51afd7ed558ccdU;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53U;
    return h ^ (h >> 33);
}

/* Weighted rendezvous hashing: when a member goes, only its own users move, and
 * to all others alike. */
static size_t
by_hash(const struct choice *c, struct slice key)
{
    const struct pool *p = c->pool;
    uint64_t base = hash(14695981039346656037U, key);
    size_t best = p->count;
    double most = 0;

    for (size_t i = 0; i < p->count; i++) {
        const struct pool_member *m = &p->members[i];
        if (!has(c->open, i))
            continue;
        uint64_t bits = hash(base, slice_of(m->member->address)) >> 11;
        double draw = ((double)bits + 0.5) / 9007199254740992.; /* 2^53 */
        double score = -(double)m->weight / log(draw);
        if (best == p->count || score > most) {
            best = i;
            most = score;
        }
    }
    return best;
}

static size_t
choose(const struct choice *c, struct slice key, enum balance balance)
{
    switch (balance) {
    case BALANCE_LEAST:
        return least(c);
    case BALANCE_ROUND_ROBIN:
        return in_turn(c);
    case BALANCE_HASH:
        return by_hash(c, key);
    }
    unreachable();
}

/* Of those that were not tried, that which failed longest ago. */
static size_t
last_resort(const struct pool *p, const struct pool_tries *tries)
{
    size_t best = p->count;

    for (size_t i = 0; i < p->count; i++) {
        if (has(tries->tried, i))
            continue;
        if (best == p->count || p->members[i].member->last_failure <
                                    p->members[best].member->last_failure)
            best = i;
    }
    return best;
}

const struct pool_member *
pool_choose(const struct pool *p, struct slice key, enum balance balance,
            double now, struct pool_tries *tries)
{
    if (!pool_has_more(p, tries))
        return NULL;
    struct choice c = usable(p, tries, false, now);
    if (!c.any)
        c = usable(p, tries, true, now);
    tries->last_resort = !c.any;
    size_t i = c.any ? choose(&c, key, balance) : last_resort(p, tries);
    struct member *m = p->members[i].member;
    m->chosen = pools_tick(m->home);
    add(tries->tried, i);
    return &p->members[i];
}

bool
pool_has_more(const struct pool *p, const struct pool_tries *tries)
{
    if (tries->last_resort)
        return false;
    for (size_t i = 0; i < p->count; i++) {
        if (!has(tries->tried, i))
            return true;
    }
    return false;
}
