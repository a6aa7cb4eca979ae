#include "lua/lasting.h"

#include "base/check.h"
#include "lua/http_client.h"
#include "lua/local_lease.h"
#include "lua/memo.h"
#include "lua/redis_leases.h"

#include <stdlib.h>

struct lasting *
lasting_new(struct ev_loop *loop, struct dns *dns)
{
    struct lasting *l = xcalloc(1, sizeof *l);

    l->loop = loop;
    l->dns = dns;
    l->counters = counters_new();
    l->pools = pools_new();
    list_init(&l->auth_pools);
    list_init(&l->directories);
    list_init(&l->memos);
    list_init(&l->redis_pools);
    list_init(&l->redis_leases);
    l->shared = shared_new();
    return l;
}

void
lasting_free(struct lasting *l)
{
    if (l == NULL)
        return;
    redis_leases_free_all(l);
    require(list_is_empty(&l->auth_pools));
    require(list_is_empty(&l->directories));
    require(list_is_empty(&l->redis_pools));
    if (l->http != NULL)
        http_client_free(l->http);
    local_leases_forget(l->shared);
    shared_free(l->shared);
    memos_free(l);
    counters_free(l->counters);
    pools_free(l->pools);
    free(l);
}

struct http_client *
lasting_http(struct lasting *l)
{
    if (l->http == NULL)
        l->http = http_client_new(l->loop, l->dns);
    return l->http;
}
