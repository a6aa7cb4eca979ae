/* generation.h -- one Lua state with the policies of one configuration. */
#pragma once

#include "lua/policy_lua.h"
#include "lua/source.h"
#include "lua/vm.h"

/* Hooks that the session does not ask for, behind those that it does. */
enum { HOOK_MECHANISMS = HOOK_COUNT, HOOK_INIT, HOOK_ALL };

struct loaded_policy {
    char *name;          /* "by_domain" */
    char *path;          /* absolute */
    int hooks[HOOK_ALL]; /* registry references; LUA_NOREF: not there */
    int lines[HOOK_ALL]; /* where each begins */
    struct native_hook *natives[HOOK_ALL]; /* those that are no Lua, or NULL */
};

/* The policies of one listener, in the order they are asked. */
struct chain {
    const struct loaded_policy **policies;
    size_t count;
};

struct generation {
    struct policy policy; /* what the session layer sees */
    struct host host;
    struct vm *vm;
    struct source *source;
    unsigned number;
    unsigned holds; /* logins under way that it decides about */
    struct config *config;
    struct loaded_policy *policies;
    size_t policy_count;
    struct chain *chains;               /* one a listener of `config` */
    struct chain *shadow_chains;        /* the same, see shadow.h */
    struct list shadows;                /* that wait to begin */
    size_t shadow_count;                /* and those that run */
    void (*deliver)(struct session *s); /* session_run, but in a spec */
    struct initialising *initialising;
    struct hook_totals totals;
    struct counter *hook_calls[HOOK_ALL], *hook_seconds[HOOK_ALL];
    struct counter *decisions[HOOK_COUNT][VERDICT_COUNT]; /* NULL: none yet */
    bool exhausted; /* host->exhausted was told */
};

/* Builds a generation from any source; it becomes the generation's.  All
 * errors, one a line, malloc'ed, in `errors`.  The checked configuration stays
 * on the stack of g->vm->L, at index 1. */
struct generation *generation_load(const struct host *host,
                                   struct source *source, unsigned number,
                                   char **errors);

/* The chain of the session's listener in this generation, or NULL. */
const struct chain *generation_chain(const struct generation *g,
                                     const struct listener_config *l);

/* The policy in the chain that comes at or after `*next` and has the hook;
 * moves `*next` behind it. */
const struct loaded_policy *chain_next(const struct chain *c, int hook,
                                       size_t *next);

const char *hook_label(int hook);
