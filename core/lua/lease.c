#include "lua/lease.h"

#include "base/slice.h"

#include <stdlib.h>

struct lease {
    struct lease *next;
    struct shared *shared;
    struct dict *dict;
    char *key;
    size_t key_len;
};

static struct slice
key_of(const struct lease *l)
{
    return (struct slice){l->key, l->key_len};
}

/* Where it hangs, or the end of the chain. */
static struct lease **
find(struct lease **first, const struct dict *d, struct slice key)
{
    struct lease **at = first;

    while (*at != NULL && ((*at)->dict != d || !slice_equal(key_of(*at), key)))
        at = &(*at)->next;
    return at;
}

static void
lease_free(struct lease *l)
{
    free(l->key);
    free(l);
}

/* `l` is in no chain any more; it is owed if that can't be done now. */
static void
end(struct lease *l)
{
    struct lease **owed = shared_owed(l->shared);
    struct dict_holder holder = shared_holder(l->shared);

    if (dict_give_back(l->dict, key_of(l), holder) != DICT_BUSY) {
        lease_free(l);
        return;
    }
    l->next = *owed;
    *owed = l;
}

static void
end_chain(struct lease *l)
{
    while (l != NULL) {
        struct lease *next = l->next;
        end(l);
        l = next;
    }
}

void
lease_settle(struct shared *shared)
{
    struct lease **owed = shared_owed(shared), *l = *owed;

    *owed = NULL;
    end_chain(l);
}

void
lease_forget(struct shared *shared)
{
    struct lease **owed = shared_owed(shared), *l;

    while ((l = *owed) != NULL) {
        *owed = l->next;
        lease_free(l);
    }
}

enum dict_result
lease_take(struct session *s, struct shared *shared, struct dict *d,
           struct slice key, uint64_t limit)
{
    struct lease *first = s->leases, *l;

    if (*find(&first, d, key) != NULL)
        return DICT_DONE;
    lease_settle(shared);
    enum dict_result result = dict_lease(d, key, limit, shared_holder(shared));
    if (result != DICT_DONE)
        return result;
    l = xcalloc(1, sizeof *l);
    *l = (struct lease){first, shared, d, xstrndup(key.ptr, key.len), key.len};
    s->leases = l;
    return DICT_DONE;
}

enum dict_result
lease_give_back(struct session *s, struct dict *d, struct slice key)
{
    struct lease *first = s->leases, **at = find(&first, d, key), *l = *at;

    if (l == NULL)
        return DICT_ABSENT;
    *at = l->next;
    s->leases = first;
    end(l);
    return DICT_DONE;
}

void
lease_end_all(struct session *s)
{
    struct lease *l = s->leases;

    s->leases = NULL;
    end_chain(l);
}
