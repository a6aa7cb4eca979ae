#include "lua/lasting.h"

#include "base/check.h"
#include "lua/http_client.h"
#include "lua/local_lease.h"
#include "lua/memo.h"
#include "lua/redis_leases.h"
#include "lua/socket_pool.h"

#include <stdlib.h>

struct lasting *
lasting_new(struct ev_loop *loop, struct dns *dns)
{
    struct lasting *l = xcalloc(1, sizeof *l);

    l->loop = loop;
    l->dns = dns;
    l->counters = counters_new(COUNTERS_MAX);
    l->pools = pools_new();
    list_init(&l->auth_pools);
    list_init(&l->directories);
    list_init(&l->memos);
    list_init(&l->redis_pools);
    list_init(&l->socket_pools);
    regexes_init(&l->regexes);
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
    socket_pools_free(l);
    regexes_deinit(&l->regexes);
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
