/* pattern.h -- Lua's patterns, matched in a bounded number of steps.
 *
 * LuaJIT's own matcher backtracks for as long as it takes, in one call that
 * nothing can interrupt: a pattern such as "a-a-a-a-b" takes hours for a long
 * text.  This one gives up.  Patterns may hold NUL bytes. */
#pragma once

#include "base/types.h"

#define PATTERN_CAPTURES_MAX 32
#define PATTERN_STEPS        5000000 /* some 50 ms */
#define PATTERN_NO           ((size_t)-1)
/* `len` of a capture: `()`, and one that was opened but not closed. */
#define PATTERN_POSITION ((size_t)-2)
#define PATTERN_OPEN     ((size_t)-3)

struct pattern_capture {
    size_t at;
    size_t len;
};

struct pattern {
    struct slice subject;
    struct slice text;  /* without the ^ that anchors it */
    unsigned long left; /* steps */
    unsigned depth;
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
    size_t count;      /* of them, after a match */
    const char *error; /* what is wrong; then nothing matches any more */
};

void pattern_init(struct pattern *p, struct slice subject, struct slice text);

/* Matches at `from`, which is at most the subject's length.  Returns where the
 * match ends; PATTERN_NO if there is none, or if `error` is set. */
size_t pattern_match(struct pattern *p, size_t from);

/* Whether `text` has a byte with a meaning of its own. */
bool pattern_is_special(struct slice text);
