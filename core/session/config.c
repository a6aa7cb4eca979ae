#include "session/config.h"

#include "base/check.h"

struct config *
config_ref(struct config *c)
{
    c->references++;
    return c;
}

void
config_unref(struct config *c)
{
    require(c->references > 0);
    if (--c->references == 0)
        c->free(c);
}
