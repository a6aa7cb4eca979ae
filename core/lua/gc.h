/* gc.h -- collects a Lua state's garbage while its loop is idle.
 *
 * Left alone, LuaJIT collects while it allocates, in the middle of a login.
 * So a cycle begins here as soon as there is something to collect, in slices
 * that other events interrupt; what a busy loop leaves no time for, LuaJIT
 * still does itself. */
#pragma once

#include <ev.h>
#include <stddef.h>

struct counter;
struct vm;

struct gc {
    ev_idle idle;
    size_t begin_at; /* bytes in use at which the next cycle begins */
    size_t told;     /* bytes that the gauge of all states has of this one */
    struct counter *memory, *longest; /* gauges of the process */
};

void gc_init(struct vm *vm);
void gc_deinit(struct vm *vm); /* also when gc_init was not called */

/* Lua code has run: is there something to do? */
void gc_look(struct vm *vm);

/* All at once: the state is full. */
void gc_collect(struct vm *vm);
