#include "base/spare.h"

#include "base/check.h"

#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if __has_feature(address_sanitizer)
#define SPARES_MAX 0
#else
#define SPARES_MAX 128
#endif

struct spare_block {
    struct spare_block *next;
};

void *
spare_take(struct spare *s)
{
    struct spare_block *block = s->first;

    if (block == NULL)
        return xmalloc(s->size);
    s->first = block->next;
    s->count--;
    return block;
}

void
spare_give(struct spare *s, void *memory)
{
    struct spare_block *block = memory;
    size_t max = SPARES_MAX > 0 && s->max > 0 ? s->max : SPARES_MAX;

    if (s->count >= max) {
        free(memory);
        return;
    }
    block->next = s->first;
    s->first = block;
    s->count++;
}
