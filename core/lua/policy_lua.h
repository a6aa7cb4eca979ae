/* policy_lua.h -- the Lua host: one state, one generation of policies. */
#pragma once

#include "base/error.h"
#include "session/config.h"
#include "session/policy.h"

#include <ev.h>
#include <lua.h>

struct bundle;
struct tls_cache;
struct dns;
struct lasting;
struct session_asker;
struct generation; /* a lua_State, its configuration and policies */

/* What a generation needs from the worker it runs in. */
struct host {
    struct ev_loop *loop;
    struct dns *dns;
    struct lasting *lasting;     /* shared by all generations */
    unsigned worker;             /* 1, 2, ... */
    struct secret ticket_secret; /* TLS_TICKET_SECRET_SIZE bytes that all
                                    workers share; empty: serves nobody */
    struct tls_cache *tls_cache; /* that all workers share, or NULL */
    bool no_policies;            /* only the configuration is built */
    /* See struct config_order. */
    void (*inspect)(struct generation *g, void *arg);
    void *inspect_arg;
    /* The state of `g` has filled its memory twice within a minute: it should
     * be built anew.  Told once a generation, in the middle of a hook, so this
     * may not free it; NULL: nobody wants to know. */
    void (*exhausted)(void *arg, struct generation *g);
    /* Has the other workers forget results, see memos_purge; false: they can't
     * be told now.  NULL: there are none. */
    bool (*purge)(void *arg, struct slice name, struct slice key);
    struct session_asker *asker; /* NULL: nobody is served here */
    void *arg;
    /* Called before each line of Lua, see lua_sethook; NULL, as ever but under
     * `moongate test --coverage`: lines are of no interest. */
    void (*line)(lua_State *L, lua_Debug *activation);
};

/* Builds generation `number` from the bundle: a fresh lua_State, the
 * configuration evaluated in it, every policy of every listener loaded.  Opens
 * no file.  NULL and `err` (all errors, one a line, "file:line: message"). */
struct generation *generation_new(const struct host *host,
                                  const struct bundle *bundle, unsigned number,
                                  struct error *err);
void generation_free(struct generation *g); /* cancels what still runs */

/* Runs every policy's `init` as a coroutine; `done` is called once, later or
 * at once, with ok or the error. */
void generation_init(struct generation *g,
                     void (*done)(void *arg, bool ok, const char *error),
                     void *arg);

/* It is the one that decides from now on: its timers run. */
void generation_serve(struct generation *g);

/* Another has taken its place: its timers and what they began end at once,
 * hooks go on, and logins that hold it may still ask. */
void generation_retire(struct generation *g);

/* No hook runs in it and no login holds it: it can be freed without anybody
 * noticing. */
bool generation_is_idle(const struct generation *g);

/* Cancels all that runs in it, as if its time were over.  It can't be asked
 * any more. */
void generation_cancel(struct generation *g);

struct config *generation_config(struct generation *g); /* borrowed */

/* What became of its hooks since it began. */
struct hook_totals {
    unsigned long calls;
    unsigned long bugs; /* that failed since a policy is broken */
};
struct hook_totals generation_totals(const struct generation *g);
struct policy *generation_policy(struct generation *g);
