#include "base/arena.h"

#include "base/check.h"
#include "base/spare.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 2048

struct arena_block {
    struct arena_block *older;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

void
arena_init(struct arena *a, size_t cap)
{
    *a = (struct arena){.cap = cap};
}

/* Most logins need no larger one.  Arenas are also filled in threads. */
static _Thread_local struct spare common = {.size = sizeof(struct arena_block) +
                                                    BLOCK_SIZE};

/* Behind `used` nothing was ever written, or it has been wiped. */
static void
drop_newest(struct arena *a)
{
    struct arena_block *block = a->blocks;

    a->blocks = block->older;
    a->used -= block->size;
    explicit_bzero(block->bytes, block->used);
    if (block->size == BLOCK_SIZE)
        spare_give(&common, block);
    else
        free(block);
}

void
arena_wipe(struct arena *a)
{
    while (a->blocks != NULL)
        drop_newest(a);
}

static bool
add_block(struct arena *a, size_t size)
{
    if (size < BLOCK_SIZE)
        size = BLOCK_SIZE;
    if (size > a->cap || a->used > a->cap - size)
        return false;

    struct arena_block *block = size == BLOCK_SIZE
                                    ? spare_take(&common)
                                    : xmalloc(sizeof *block + size);
    *block = (struct arena_block){.older = a->blocks, .size = size};
    a->blocks = block;
    a->used += size;
    return true;
}

void *
arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);

    if (size > a->cap)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    if (a->blocks == NULL || a->blocks->size - a->blocks->used < size) {
        if (!add_block(a, size))
            return NULL;
    }
    char *memory = a->blocks->bytes + a->blocks->used;
    a->blocks->used += size;
    memset(memory, 0, size);
    return memory;
}

bool
arena_copy(struct arena *a, struct slice bytes, struct slice *copy)
{
    char *memory = arena_alloc(a, bytes.len + 1);

    if (memory == NULL)
        return false;
    if (bytes.len > 0)
        memcpy(memory, bytes.ptr, bytes.len);
    *copy = (struct slice){memory, bytes.len};
    return true;
}

struct arena_mark
arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->blocks, a->blocks ? a->blocks->used : 0};
}

void
arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->blocks != mark.block) {
        require(a->blocks != NULL);
        drop_newest(a);
    }
    if (mark.block == NULL)
        return;
    explicit_bzero(mark.block->bytes + mark.block_used,
                   mark.block->used - mark.block_used);
    mark.block->used = mark.block_used;
}
