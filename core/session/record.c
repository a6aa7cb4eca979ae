#include "session/record.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

/* Most sessions leave most fields empty, and those cost nothing. */
static char nothing[] = "";

void
record_init(struct record *r)
{
    *r = (struct record){nothing, nothing, nothing, nothing, "",
                         nothing, nothing, nothing, nothing, NULL};
}

void
record_set(char **field, struct slice text)
{
    if (slice_equal(slice_of(*field), text))
        return;
    if (*field != nothing)
        free(*field);
    *field = text.len > 0 ? xstrndup(text.ptr, text.len) : nothing;
}

void
record_deinit(struct record *r)
{
    require(r->vars == NULL);
    record_set(&r->user, S(""));
    record_set(&r->policy, S(""));
    record_set(&r->upstream, S(""));
    record_set(&r->pool, S(""));
    record_set(&r->tls, S(""));
    record_set(&r->log, S(""));
    record_set(&r->via, S(""));
    record_set(&r->origin, S(""));
}
