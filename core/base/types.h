/* types.h -- the value types every layer shares.
 *
 * Declarations only, no inline code and no macros: the specs hand this file
 * to LuaJIT's ffi.cdef after dropping the '#' lines, so it must stay
 * readable by both compilers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes.  Owns nothing, is never NUL-terminated, and lives
 * exactly as long as the buffer it points into.  Passed by value. */
struct slice {
    const char *ptr;
    size_t len;
};

/* What a parser makes of the bytes it has been shown so far. */
enum parse {
    PARSE_DONE,   /* one whole unit; the out-parameter is set */
    PARSE_MORE,   /* a valid beginning; call again with more bytes */
    PARSE_PROMPT, /* as MORE, but the peer first waits for our go-ahead */
    PARSE_BAD,    /* can never become valid; the connection is lost */
};

/* Bytes that no log, error text or Lua string may ever hold: a type of its
 * own, so that the compiler refuses to hand it to a function that prints. */
struct secret {
    struct slice bytes;
};
