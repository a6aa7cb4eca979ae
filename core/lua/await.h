/* await.h -- how a C function that a policy calls waits without blocking.
 *
 * Every hook call is a coroutine.  A C function that must wait starts its
 * operation and ends with `return await(L, cancel, op, &op->ticket);` -- it
 * yields once, as its last act.  When the operation completes, on the loop:
 *
 *     lua_State *L = await_done(&op->ticket);
 *     if (L != NULL) { push results; await_resume(&op->ticket, count); }
 *
 * A ticket carries {generation, sequence}: a completion that comes for a hook
 * that was cancelled meanwhile finds NULL, and is dropped.  On cancellation
 * `cancel(op)` is called once: close what the operation holds, free it, and do
 * not complete.  Cancelled coroutines are never resumed. */
#pragma once

#include "lua/policy_lua.h"

#include <lua.h>

struct call; /* one running coroutine: a hook call, init, a timer body */

struct ticket {
    struct call *call;
    unsigned long sequence;
};

/* Suspends the running coroutine.  Raises (with the caller's file:line) when
 * called where no await may be: at the top level of a module, in
 * `mechanisms`. */
int await(lua_State *L, void (*cancel)(void *op), void *op,
          struct ticket *ticket);

/* The coroutine to push results on, or NULL if the ticket is stale. */
lua_State *await_done(struct ticket *ticket);

/* Resumes it with the `results` values on its top.  The ticket is dead after
 * that; the session may be too. */
void await_resume(struct ticket *ticket, int results);

/* Begins every operation: names it for who looks on, such as "http GET
 * https://host/path", with no secret in it.  Under a replay its answer may be
 * known: it is pushed, and how many values that are is returned; -1: do it. */
int await_known(lua_State *L, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether that name is of use to anybody. */
bool await_is_followed(lua_State *L);

/* Then, before await_resume, what came of it in a few words: "200". */
void await_outcome(const struct ticket *ticket, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for what came without waiting: its `results` are on the top of L;
 * < 0: they can't be told. */
void await_noted(lua_State *L, const char *name, const char *outcome,
                 int results);

/* For what may be known without waiting, under a replay: pushes the answer of
 * the next one called `name`, and returns how many values that are; -1: it has
 * none. */
int await_recalled(lua_State *L, const char *name);

/* For await_known: pushes the answer called `name`; raises if there is none. */
int await_replayed(lua_State *L, const char *name);

/* Seconds left of the running hook's budget; effective time-outs are
 * min(own, this). */
double await_time_left(lua_State *L);

/* The host this state belongs to. */
const struct host *host_of(lua_State *L);

/* Starts `nargs` arguments on top of the function on L's stack as a coroutine
 * of its own with `budget` seconds (timers, detach).  Errors are logged under
 * `name`. */
void call_spawn(lua_State *L, const char *name, int nargs, double budget);
