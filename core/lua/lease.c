#include "lua/lease.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

void
lease_init(struct lease *l, const void *table, struct slice key,
           void (*end)(struct lease *l))
{
    *l = (struct lease){NULL, table, xstrndup(key.ptr, key.len), key.len, end};
}

void
lease_deinit(struct lease *l)
{
    free(l->key);
}

struct slice
lease_key(const struct lease *l)
{
    return (struct slice){l->key, l->key_len};
}

/* Where it hangs, or the end of the chain. */
static struct lease **
find(struct lease **first, const void *table, struct slice key)
{
    struct lease **at = first;

    while (*at != NULL &&
           ((*at)->table != table || !slice_equal(lease_key(*at), key)))
        at = &(*at)->next;
    return at;
}

bool
lease_is_held(const struct session *s, const void *table, struct slice key)
{
    struct lease *first = s->leases;

    return *find(&first, table, key) != NULL;
}

void
lease_hold(struct session *s, struct lease *l)
{
    l->next = s->leases;
    s->leases = l;
}

bool
lease_give_back(struct session *s, const void *table, struct slice key)
{
    struct lease *first = s->leases, **at = find(&first, table, key), *l = *at;

    if (l == NULL)
        return false;
    *at = l->next;
    s->leases = first;
    l->end(l);
    return true;
}

void
lease_end_all(struct session *s)
{
    struct lease *l = s->leases, *next;

    s->leases = NULL;
    for (; l != NULL; l = next) {
        next = l->next;
        l->end(l);
    }
}
