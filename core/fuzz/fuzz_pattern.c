/* fuzz_pattern.c -- a Lua pattern, and behind the first newline a text. */
#include "base/check.h"
#include "base/pattern.h"
#include "base/slice.h"

#define STEPS 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct pattern *p, size_t from, size_t end)
{
    require(p->error == NULL && end >= from && end <= p->subject.len);
    require(p->count <= PATTERN_CAPTURES_MAX);
    for (size_t i = 0; i < p->count; i++) {
        struct pattern_capture c = p->captures[i];
        require(c.at <= p->subject.len);
        require(c.len == PATTERN_POSITION || c.len == PATTERN_OPEN ||
                c.len <= p->subject.len - c.at);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice subject = {(const char *)data, size};
    struct slice text = slice_cut(&subject, '\n');
    struct pattern p;

    if (subject.ptr == NULL)
        return 0;
    pattern_init(&p, subject, text);
    p.left = STEPS;
    for (size_t from = 0; from <= subject.len && p.error == NULL; from++) {
        size_t end = pattern_match(&p, from);
        if (end != PATTERN_NO)
            check(&p, from, end);
    }
    return 0;
}
