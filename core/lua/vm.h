/* vm.h -- one Lua state: its memory, its CPU budget, its modules.
 *
 * Policies run in a strict environment that lua/moongate/prelude.lua builds
 * from the bare state; `moongate lua` runs with the whole standard library.
 * The struct is found from any lua_State of it, see vm_of. */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "base/types.h"
#include "lua/bundle.h"
#include "lua/gc.h"
#include "lua/memory.h"
#include "lua/objects.h"

#include <lua.h>

#define VM_MEMORY_MAX  ((size_t)256 << 20)
#define VM_THREADS_MAX 64 /* finished coroutines kept for the next call */

struct call;
struct generation;
struct host;
struct source;
struct source_file;

/* CPU time of the code that runs now. */
struct budget {
    double seconds; /* it may take; 0: no limit */
    double began;   /* thread CPU time when it was first looked at; 0: never */
    bool over;      /* the running coroutine must die */
};

struct vm {
    struct memory memory; /* first: the allocator's argument is the vm */
    lua_State *L;
    const struct host *host;
    struct generation *generation; /* NULL in the interpreter */
    struct source *source;         /* where Lua files and data come from */
    struct call *running;          /* whose coroutine runs now, or NULL */
    struct list calls;             /* all that run or wait */
    size_t call_count;
    unsigned top_level; /* module bodies being run: nothing may wait */
    struct budget budget;
    struct list timers;        /* see timers.h */
    struct list subscriptions; /* see redis_subscription.h */
    bool serving;              /* both run */
    bool looks_at_once;        /* at the clock, not after many instructions */
    bool closing;              /* no more calls */
    bool replays;              /* hooks wait for nothing real, see replay.h */
    bool open; /* the interpreter: whole library, no budget, no cap */
    int threads[VM_THREADS_MAX];
    size_t thread_count;
    struct object_metatable metatables[OBJECT_TYPES];
    struct gc gc;
    ev_tstamp exhausted_at; /* when it last filled its memory; 0: never */
};

/* A state with the strict environment, or with everything if `open`.  NULL
 * and `err` if the library can't be loaded. */
struct vm *vm_new(const struct host *host, struct source *source, bool open,
                  struct error *err);

/* Ends the calls that no session waits for: of timers, detached ones. */
void vm_end_background(struct vm *vm);

/* Ends every call that still runs, and lets no new one begin. */
void vm_end_calls(struct vm *vm);
void vm_free(struct vm *vm);

struct vm *vm_of(lua_State *L);

struct counters *vm_counters(const struct vm *vm);

/* Pushes the function that `file` compiles to, in the environment of its
 * kind; or pushes nil and the message.  Returns how many.  Bytecode is
 * refused. */
int vm_compile(lua_State *L, enum bundle_kind kind,
               const struct source_file *file);

/* Calls the function below its `nargs` arguments as the body of a file:
 * nothing in it may wait, and it has CPU_BODY seconds.  On failure the
 * message, with paths in full, is on the top. */
bool vm_call(struct vm *vm, int nargs, int results);

/* Pushes the text of the configuration file `path`, or nil. */
void vm_text(lua_State *L, const char *path);

/* A function that the prelude has left in `moongate.core`, on the stack. */
void vm_core(lua_State *L, const char *name);

/* CPU seconds that the code entered last has used; 0 if too few to notice. */
double vm_spent(const struct vm *vm);

/* The instruction that runs takes long: has the clock looked at after it. */
void vm_look_soon(struct vm *vm);

/* Looks now, if that was asked for, and raises if the budget is used up: for C
 * functions that call others many times. */
void vm_check_budget(lua_State *L);

/* The budget of the code that is entered next; the result goes to vm_leave. */
struct budget vm_enter(struct vm *vm, double seconds);
void vm_leave(struct vm *vm, struct budget outer);

/* Text of the error at `index`, whatever it is: the message as it is, what
 * __tostring says, or its type.  Shortened chunk names are made whole.  Pushes
 * a string and returns it. */
const char *vm_error_text(lua_State *L, int index);
