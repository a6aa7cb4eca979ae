/* arena.h -- memory that a session needs until its login is done.
 *
 * A bump allocator: nothing is freed alone, everything is wiped and freed
 * together.  It never holds more than `cap` bytes; what would not fit is NULL
 * and ends the session with END_RESOURCES. */
#pragma once

#include "base/types.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes in all blocks */
    size_t cap;
};

/* A place to come back to: what was allocated since is wiped. */
struct arena_mark {
    struct arena_block *block;
    size_t block_used;
};

void arena_init(struct arena *a, size_t cap);

/* Wipes and frees everything.  The arena is as after arena_init. */
void arena_wipe(struct arena *a);

/* `size` zeroed bytes aligned for any object, or NULL at the cap. */
void *arena_alloc(struct arena *a, size_t size);

/* A copy of `bytes` that lives as long as the arena; `*copy` is set only on
 * success.  false at the cap. */
bool arena_copy(struct arena *a, struct slice bytes, struct slice *copy);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
