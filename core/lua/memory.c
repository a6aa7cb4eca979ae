#include "lua/memory.h"

#include <stdlib.h>
#include <string.h>

static void
give_back(struct memory *m, void *ptr, size_t size)
{
    if (ptr == NULL)
        return;
    explicit_bzero(ptr, size);
    free(ptr);
    m->used -= size;
}

static bool
has_room(const struct memory *m, size_t old_size, size_t new_size)
{
    size_t left = m->used < m->cap ? m->cap - m->used : 0;

    return !m->capped || new_size <= old_size || new_size - old_size <= left;
}

static void
count_churn(struct memory *m, size_t size)
{
    m->churn += size;
    if (m->churn < MEMORY_CHURN)
        return;
    m->churn = 0;
    m->churned(m);
}

void *
memory_allocate(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct memory *m = ud;

    if (ptr == NULL)
        old_size = 0;
    if (new_size == 0) {
        give_back(m, ptr, old_size);
        return NULL;
    }
    if (!has_room(m, old_size, new_size)) {
        m->refused = true;
        return NULL;
    }
    count_churn(m, new_size);

    /* Not realloc: it would leave the old bytes behind. */
    void *fresh = malloc(new_size);
    if (fresh == NULL)
        return NULL;
    m->used += new_size;
    if (ptr != NULL) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        give_back(m, ptr, old_size);
    }
    return fresh;
}
