/* failure.h -- what a module gives for something that went wrong outside:
 * `nil, err`, where `err` has a `kind` to branch on and reads as text.
 * Mistakes of the policy itself, such as a bad argument, raise instead. */
#pragma once

#include <lua.h>

enum failure {
    FAILURE_TIMEOUT,
    FAILURE_CONNECT,
    FAILURE_TLS,
    FAILURE_DNS,
    FAILURE_PROTOCOL, /* the peer, or a file, makes no sense */
    FAILURE_CLOSED,
    FAILURE_OVERLOAD,
    FAILURE_SERVER, /* it has answered with an error */
    FAILURE_CANCELLED,
};

/* "timeout", "connect", ... */
const char *failure_name(enum failure kind);

/* Pushes an object {kind, message} with __tostring and __concat. */
void failure_push_object(lua_State *L, enum failure kind, const char *message);

/* Pushes nil and the object; always returns 2. */
int failure_push(lua_State *L, enum failure kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
