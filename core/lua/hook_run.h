/* hook_run.h -- one hook of one session on its way down the chain. */
#pragma once

#include "lua/call.h"
#include "lua/generation.h"
#include "session/session.h"

struct hook_run {
    struct generation *generation;
    struct session *session; /* of a notification: a copy of its own */
    struct call *call;
    const struct chain *chain;
    size_t next; /* position in the chain */
    enum hook hook;
    int objects; /* registry: what Lua hooks are called with, in a table;
                    LUA_NOREF until the first is */
    int object_count;
    double began;         /* seconds, monotonic */
    bool is_notification; /* no verdict; the session may be gone */
    bool is_asking;       /* inside policy_ops.ask: the verdict comes at once */
    void (*shadow)(struct session *s); /* of a shadow: told instead */
};

/* See policy_ops.  `ask` answers at once or later. */
void hook_ask(struct generation *g, struct session *s, enum hook hook);
/* Asks a shadow chain about a copy of a session; `decided` is told, now or
 * later, when the verdict stands in it. */
void hook_ask_shadow(struct generation *g, struct session *s, enum hook hook,
                     const struct chain *chain,
                     void (*decided)(struct session *s));
void hook_cancel(struct hook_run *run);

/* Nothing waits for it, and it decides nothing. */
bool hook_is_notification(enum hook hook);

/* Whether the hook may decide so. */
bool hook_may(enum hook hook, enum verdict_kind kind);
unsigned hook_mechanisms(struct generation *g, struct session *s,
                         unsigned otherwise);

/* Pushes the table of the hook's arguments: session, and what else there is;
 * sets how many. */
void hook_push_objects(lua_State *L, struct hook_run *run, int *count);

/* Makes the objects in the table on the top useless: the hook is over. */
void hook_expire_objects(lua_State *L);
