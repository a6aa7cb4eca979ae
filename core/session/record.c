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

static void
drop(char *text)
{
    if (text != nothing)
        free(text);
}

void
record_set(char **field, struct slice text)
{
    if (slice_equal(slice_of(*field), text))
        return;
    drop(*field);
    *field = text.len > 0 ? xstrndup(text.ptr, text.len) : nothing;
}

void
record_deinit(struct record *r)
{
    require(r->vars == NULL);
    drop(r->user);
    drop(r->policy);
    drop(r->upstream);
    drop(r->pool);
    drop(r->tls);
    drop(r->log);
    drop(r->via);
    drop(r->origin);
}
