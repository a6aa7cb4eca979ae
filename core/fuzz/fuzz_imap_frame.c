/* fuzz_imap_frame.c -- commands and replies end where they end, however the
 * bytes arrive, and nothing is ever longer than it may be. */
#include "fuzz/play.h"

#include "base/check.h"
#include "base/slice.h"
#include "proto/imap_frame.h"

#include <stdlib.h>

static const struct imap_limits limits = {
    .command = 200, .literal = 100, .unasked = 50};

static enum parse
frame(bool reply, struct framer *f, struct slice in, struct slice *unit)
{
    return reply ? imap_frame_reply(f, in, limits.command, unit)
                 : imap_frame(f, in, &limits, unit);
}

/* The end of the first unit, 0 if there is none; `*prompts` counts. */
static size_t
first_end(bool reply, struct slice input, bool bytewise, unsigned *prompts)
{
    struct framer f = {0};
    struct slice unit;

    *prompts = 0;
    for (size_t len = bytewise ? 0 : input.len; len <= input.len; len++) {
        char *copy = exact_copy(slice_take(input, len));
        enum parse parse;
        while ((parse = frame(reply, &f, (struct slice){copy, len}, &unit)) ==
               PARSE_PROMPT)
            ++*prompts;
        free(copy);
        if (parse == PARSE_DONE)
            return unit.len;
        if (parse == PARSE_BAD)
            return SIZE_MAX;
        require(len < limits.command);
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int reply = 0; reply < 2; reply++) {
        struct slice input = {(const char *)data, size};
        unsigned prompts, prompts_bytewise;
        size_t end = first_end(reply == 1, input, false, &prompts);
        require(end == first_end(reply == 1, input, true, &prompts_bytewise));
        require(prompts == prompts_bytewise);
        require(end == 0 || end == SIZE_MAX ||
                (end <= limits.command && input.ptr[end - 1] == '\n'));
    }
    return 0;
}
