#include "lua/local_lease.h"

#include "base/list.h"

#include <stdlib.h>

struct local_lease {
    struct lease lease; /* its table is the dict */
    struct shared *shared;
    struct dict *dict;
};

static void
local_lease_free(struct local_lease *l)
{
    lease_deinit(&l->lease);
    free(l);
}

/* It is owed if that can't be done now. */
static void
end(struct lease *lease)
{
    struct local_lease *l = container_of(lease, struct local_lease, lease);
    struct lease **owed = shared_owed(l->shared);
    struct dict_holder holder = shared_holder(l->shared);

    if (dict_give_back(l->dict, lease_key(lease), holder) != DICT_BUSY) {
        local_lease_free(l);
        return;
    }
    lease->next = *owed;
    *owed = lease;
}

void
local_leases_settle(struct shared *shared)
{
    struct lease **owed = shared_owed(shared), *l = *owed, *next;

    *owed = NULL;
    for (; l != NULL; l = next) {
        next = l->next;
        end(l);
    }
}

void
local_leases_forget(struct shared *shared)
{
    struct lease **owed = shared_owed(shared), *l;

    while ((l = *owed) != NULL) {
        *owed = l->next;
        local_lease_free(container_of(l, struct local_lease, lease));
    }
}

enum dict_result
local_lease_take(struct session *s, struct shared *shared, struct dict *d,
                 struct slice key, uint64_t limit)
{
    struct local_lease *l;

    if (lease_is_held(s, d, key))
        return DICT_DONE;
    local_leases_settle(shared);
    enum dict_result result = dict_lease(d, key, limit, shared_holder(shared));
    if (result != DICT_DONE)
        return result;
    l = xcalloc(1, sizeof *l);
    l->shared = shared;
    l->dict = d;
    lease_init(&l->lease, d, key, end);
    lease_hold(s, &l->lease);
    return DICT_DONE;
}
