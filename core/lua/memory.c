#include "lua/memory.h"

#include "base/spare.h"

#include <stdlib.h>
#include <string.h>

#define STEP ((size_t)16)
#define KEPT ((size_t)128 << 10) /* bytes of each size, at most */

/* Each call of a hook takes some small blocks, and the collector gives back
 * those of hundreds of calls at once, more than malloc caches. */
#define OF(steps) .size = (steps)*STEP, .max = KEPT / ((steps)*STEP)
static _Thread_local struct spare spares[] = {
    {OF(1)}, {OF(2)}, {OF(3)}, {OF(4)}, {OF(5)}, {OF(6)}, {OF(7)}, {OF(8)}};

/* NULL: blocks that large are not kept. */
static struct spare *
spares_for(size_t size)
{
    size_t steps = (size + STEP - 1) / STEP;

    return steps <= sizeof spares / sizeof *spares ? &spares[steps - 1] : NULL;
}

static void *
take(size_t size)
{
    struct spare *s = spares_for(size);

    return s != NULL ? spare_take(s) : malloc(size);
}

static void
give(void *ptr, size_t size)
{
    struct spare *s = spares_for(size);

    if (s != NULL)
        spare_give(s, ptr);
    else
        free(ptr);
}

static void
give_back(struct memory *m, void *ptr, size_t size)
{
    if (ptr == NULL)
        return;
    explicit_bzero(ptr, size);
    give(ptr, size);
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
    void *fresh = take(new_size);
    if (fresh == NULL)
        return NULL;
    m->used += new_size;
    if (ptr != NULL) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        give_back(m, ptr, old_size);
    }
    return fresh;
}
