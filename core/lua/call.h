/* call.h -- one running coroutine: of a hook, of `init`, of a timer.
 *
 * A call has a wall clock budget and runs any number of functions, one after
 * the other, each in a coroutine of its own.  At any time it runs, or waits
 * for one operation (await.h), or is between two functions. */
#pragma once

#include "base/list.h"
#include "lua/await.h"
#include "lua/vm.h"

#include <ev.h>

struct hook_trace; /* see trace.h */

#define CALLS_MAX 2000 /* of one state; the GC's pauses grow with them */

enum call_end {
    CALL_WAITS,    /* `finished` will be called */
    CALL_RETURNED, /* the results are all that is on the thread's stack */
    CALL_FAILED,   /* `error` says why */
    CALL_TIMEOUT,  /* the budget is over (only through `finished`) */
};

/* Told, and taken out of its list, when the function of a call is over,
 * whether it ended well or was cancelled. */
struct call_watch {
    struct list link;
    void (*over)(struct call_watch *w);
};

struct call {
    struct list link; /* in vm->calls, or among the free */
    struct vm *vm;
    struct call *parent;  /* that it is a part of, see child.h; or NULL */
    struct list children; /* of its function, see child.h */
    size_t child_count;   /* how many were ever spawned */
    struct list watches;  /* of its function */
    bool joins;           /* it has returned, and waits for its children */
    lua_State *thread;    /* NULL between two functions */
    int thread_ref;
    unsigned long sequence; /* of the operation it waits for, or 0 */
    void (*cancel)(void *op);
    void *op;
    lua_CFunction answer; /* of a native hook, see call_set_answer */
    bool synchronous;     /* nothing may wait */
    bool background;      /* no session waits for it: call_spawn, detach */
    const char *policy;   /* whose function runs; "": nobody knows */
    double cpu_left;      /* seconds */
    ev_timer deadline;
    ev_tstamp ends;           /* loop time */
    char *error;              /* CALL_FAILED: message and traceback */
    struct slice redact[2];   /* never in `error`: password, token */
    bool is_shadow;           /* what it decides is not acted on */
    struct hook_trace *trace; /* NULL: nobody looks on */
    /* The function that waited has ended.  May free the call. */
    void (*finished)(struct call *c, enum call_end end);
    void *arg;
};

/* NULL when CALLS_MAX run already, or the state is being closed. */
struct call *call_new(struct vm *vm, double budget,
                      void (*finished)(struct call *c, enum call_end end),
                      void *arg);

/* Cancels what it waits for. The coroutine is never resumed. */
void call_free(struct call *c);

/* Ends it as if its time were over: `finished` is told CALL_TIMEOUT. */
void call_expire(struct call *c);

/* A thread to push a function and its arguments on. */
lua_State *call_thread(struct call *c);

/* Runs them.  After CALL_RETURNED take the results and call call_release. */
enum call_end call_start(struct call *c, int nargs);

/* Raises if the value at `index` is none that can be called. */
void call_check_function(lua_State *L, int index);

/* --- for native hooks (native_hook.h), which need no coroutine --- */

/* The call waits for an operation; see await. */
struct ticket call_wait(struct call *c, void (*cancel)(void *op), void *op);

/* What the hook answers: `push`, called protected with `arg` as its argument
 * before anything else happens to the call, returns the decision. */
void call_set_answer(struct call *c, lua_CFunction push, void *arg);

/* The operation is over, with this answer.  May free the call. */
void call_answer(struct ticket ticket, lua_CFunction push, void *arg);

/* Gives the finished thread back, to be used again if `clean`. */
void call_release(struct call *c, bool clean);

/* The last child of a function that has returned has ended. */
void call_joined(struct call *c);

/* Cuts the call's password and token out of `text`. */
void call_redact(const struct call *c, char *text);

/* Whether the value is what await yields. */
bool call_is_token(lua_State *L, int index);

double call_time_left(const struct call *c);
