/* redis_leases.h -- the places that sessions of this process hold of one table
 * in Redis.
 *
 * Redis knows the process as a holder: a key that lives for some seconds, and
 * that the process renews.  What is held of a key is a hash, holder -> how
 * many; what a holder has who does not live any more does not count.  So the
 * places of a process that was killed, or of a machine, come back by
 * themselves, and renewing takes one command however many there are.
 *
 * Questions go to Redis one batch after the other, each a script's single run.
 * When it is not known what came of one, or Redis has lost the holder, the
 * process becomes another holder and says again what it holds: nothing that
 * comes late counts. */
#pragma once

#include "lua/lasting.h"
#include "lua/lease.h"
#include "lua/redis_exchange.h"

struct redis_leases;

/* Those of the tables whose keys begin with `prefix`; a reference.  The newest
 * group counts for all. */
struct redis_leases *redis_leases_get(struct lasting *l, struct redis_group *g,
                                      struct slice prefix);
void redis_leases_unref(struct redis_leases *all); /* NULL is fine */

/* The process ends: no session or generation is left. */
void redis_leases_free_all(struct lasting *l);

/* The name of the server, for messages. */
const char *redis_leases_server(const struct redis_leases *all);

enum redis_lease_verb {
    REDIS_LEASE_TAKE,  /* the answer is 1: a place is the caller's; or 0 */
    REDIS_LEASE_COUNT, /* how many are held by all together */
    REDIS_LEASE_GIVE,  /* internal, as the next one */
    REDIS_LEASE_FORGET,
};

struct redis_lease_answer {
    bool failed;
    enum failure kind; /* and the words, if it has */
    const char *text;
    long long number;
};

struct redis_lease_question {
    enum redis_lease_verb verb;
    struct slice key;
    long long limit; /* of a TAKE; below 0: none */
};

/* Called once, never from inside redis_leases_ask and never after
 * redis_lease_ask_cancel. */
typedef void (*redis_lease_fn)(void *arg,
                               const struct redis_lease_answer *answer);

struct redis_lease_ask;

struct redis_lease_ask *
redis_leases_ask(struct redis_leases *all,
                 const struct redis_lease_question *question,
                 redis_lease_fn done, void *arg);
/* A place that it still gets is given back. */
void redis_lease_ask_cancel(struct redis_lease_ask *a);

/* The session holds from now on what a TAKE has got. */
void redis_leases_hold(struct redis_leases *all, struct session *s,
                       struct slice key);

/* Nobody wants what a TAKE has got. */
void redis_leases_give(struct redis_leases *all, struct slice key);
