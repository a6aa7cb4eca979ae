/* timers.h -- when the timers of a Lua state run (mod_timer.c).
 *
 * A state that is only being prepared, or has been replaced, has timers that
 * do not run: across a reload each tick comes once. */
#pragma once

struct vm;

/* Those that there are, and those made from now on. */
void timers_start(struct vm *vm);

/* Ends all of them for good; those made from now on never run. */
void timers_stop(struct vm *vm);
