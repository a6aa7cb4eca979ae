/* lease.h -- what a session holds of shared tables until it ends.
 *
 * A table of this machine has its own kind of lease (local_lease.h), one in
 * Redis another (redis_leases.h): each begins with this. */
#pragma once

#include "base/types.h"
#include "session/session.h"

struct lease {
    struct lease *next; /* of the session */
    const void *table;
    char *key;
    size_t key_len;
    /* Gives it back and frees it; it is in no session any more. */
    void (*end)(struct lease *l);
};

void lease_init(struct lease *l, const void *table, struct slice key,
                void (*end)(struct lease *l));
void lease_deinit(struct lease *l);
struct slice lease_key(const struct lease *l);

bool lease_is_held(const struct session *s, const void *table,
                   struct slice key);

/* The session holds it from now on, and none of that key before. */
void lease_hold(struct session *s, struct lease *l);

/* False: the session holds none. */
bool lease_give_back(struct session *s, const void *table, struct slice key);

/* The session has ended. */
void lease_end_all(struct session *s);
