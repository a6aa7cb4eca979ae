/* memory.h -- the memory of one Lua state: counted, capped, wiped on free.
 *
 * Lua strings are copied freely, so whatever the state gives back is zeroed
 * first: no freed copy of a password stays in the heap.  Small blocks are kept
 * for what asks next, at most 1 MiB of all states.  The cap holds only
 * while Lua code runs (`capped`), where running into it is an error that the
 * hook ends with; C code that hands over results is never refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MEMORY_CHURN ((size_t)4 << 20)

struct memory {
    size_t used;
    size_t cap;
    bool capped;
    bool refused; /* since somebody set it to false */
    /* Called after each MEMORY_CHURN bytes that were asked for: some functions
     * move megabytes in one instruction, so instructions tell no time. */
    void (*churned)(struct memory *m);
    size_t churn;
};

/* A lua_Alloc; `ud` points to a struct memory. */
void *memory_allocate(void *ud, void *ptr, size_t old_size, size_t new_size);
