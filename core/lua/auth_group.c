#include "base/check.h"
#include "lua/auth_exchange.h"

#include <stdlib.h>

struct auth_group *
auth_group_new(struct lasting *lasting)
{
    struct auth_group *g = xcalloc(1, sizeof(*g));

    g->references = 1;
    g->lasting = lasting;
    g->loop = lasting->loop;
    g->dns = lasting->dns;
    buf_init(&g->extra, AUTH_EXTRA_MAX);
    auth_tls_init(&g->tls);
    return g;
}

struct auth_group *
auth_group_ref(struct auth_group *g)
{
    g->references++;
    return g;
}

void
auth_group_unref(struct auth_group *g)
{
    if (g == NULL || --g->references > 0)
        return;
    for (size_t i = 0; i < g->pool_count; i++)
        auth_pool_unref(g->pools[i]);
    buf_deinit(&g->extra);
    auth_tls_deinit(&g->tls);
    free(g);
}
