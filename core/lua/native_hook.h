/* native_hook.h -- a hook that is C all through, as the check that
 * `moongate.auth_http` makes is.
 *
 * A policy may return one in place of a function.  It is then asked without a
 * coroutine and without Lua's session and credentials.  Lua code can call it
 * too (`__call`), with the same result; that is how it is asked when somebody
 * looks on (trace.h) or a recording is played. */
#pragma once

#include "lua/call.h"
#include "session/policy.h"

#include <lua.h>

/* The first member of the userdata. */
struct native_hook {
    /* Asks about the session: CALL_WAITS after call_wait, CALL_RETURNED after
     * call_set_answer.  `hook` is one for which native_hook_serves is true. */
    enum call_end (*ask)(struct native_hook *n, struct session *s,
                         enum hook hook, struct call *c);
};

/* Marks the metatable on the top: all its userdata begin with one. */
void native_hook_mark(lua_State *L);

/* The one at `index`, or NULL.  Lives as long as the value does. */
struct native_hook *native_hook_test(lua_State *L, int index);

/* Only what is decided with the login's credentials or its envelope. */
bool native_hook_serves(int hook);
