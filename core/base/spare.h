/* spare.h -- blocks of one size that every login takes and gives back.
 *
 * As many are kept as the logins of a busy moment need, which spares malloc the
 * splitting and joining of blocks: it caches few of a size, and none that is
 * large.  Of one thread, but a block may go back to that of another.  Under
 * AddressSanitizer none is kept, so that it sees who uses a block that was
 * given back. */
#pragma once

#include "base/types.h"

struct spare_block;

struct spare {
    size_t size; /* of a block, bytes */
    size_t max;  /* blocks that are kept; 0: some */
    size_t count;
    struct spare_block *first;
};

/* A block; its bytes are undefined.  Goes back with spare_give. */
void *spare_take(struct spare *s);

/* The block holds no secret any more. */
void spare_give(struct spare *s, void *memory);
