/* child.h -- `moongate.spawn`: functions that run beside the one that spawned
 * them, and are over when it is.
 *
 * A child is a call of its own, with the time and the CPU budget of its parent.
 * A function that has returned waits for its children (call.c); one that
 * failed or was cancelled takes them along.  The error of a child comes out
 * of `wait`, or, if nobody waited, is the error of the parent. */
#pragma once

#include <lua.h>
#include <stdbool.h>

#define CHILDREN_MAX 100 /* that a function may spawn */

struct call;

/* (function, arguments...): a Child; or nil, err when too many calls run. */
int child_spawn(lua_State *L);

/* (child): true and its results, or false and its error. */
int child_wait(lua_State *L);

/* (child): ends it, whose error is then nobody's; whether it still ran. */
int child_cancel(lua_State *L);

/* Whether some still run. */
bool children_run(const struct call *c);

/* The error of one that nobody was told of, or NULL. */
const char *children_error(const struct call *c);

/* Cancels those that run, and forgets the others. */
void children_end(struct call *c);
