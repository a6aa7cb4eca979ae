#include "lua/evaluate.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/config.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/nginx_import.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

static void
add_file(void *arg, const struct source_item *item)
{
    struct plan *plan = arg;

    if (item->kind == BUNDLE_TLS)
        plan_files_add(&plan->tls, slice_of(item->path), &item->stamp);
    else if (plan->watch && item->kind != BUNDLE_SECRET)
        plan_files_add(&plan->sources, slice_of(item->path), &item->stamp);
}

/* Fills `plan` from what `source`, which becomes the generation's, has. */
static bool
evaluate(const struct host *host, struct source *source, struct plan *plan,
         char **errors)
{
    struct generation *g = generation_load(host, source, 1, errors);

    if (g == NULL)
        return false;
    plan_build(g->vm->L, 1, g->config, plan);
    source_each(g->source, add_file, plan);
    plan_add_staples(plan, g->config->own);
    free(*errors);
    *errors = NULL;
    generation_free(g);
    return true;
}

/* What is read, and where to. */
struct reading {
    const struct config_order *order;
    const struct share *share;
    struct bundle_writer *writer;
};

static bool
evaluate_nginx(const struct reading *r, const struct host *host,
               struct plan *plan, char **errors)
{
    struct nginx_import *import =
        nginx_import_read(r->order, host, r->share, errors);

    if (import == NULL)
        return false;
    bool done = evaluate(
        host,
        nginx_import_source(import, r->order->environment, r->share, r->writer),
        plan, errors);
    nginx_import_place(import, errors);
    nginx_import_free(import);
    return done;
}

static bool
evaluate_file(const struct reading *r, const struct host *host,
              struct plan *plan, char **errors)
{
    return evaluate(host,
                    source_of_disk(r->order->path, r->order->environment,
                                   r->share, r->writer),
                    plan, errors);
}

bool
config_evaluate(const struct config_order *order, const struct share *share,
                struct bundle_writer *w, struct plan *plan, char **errors)
{
    /* Files are loaded as in a worker; nothing waits, so no loop runs. */
    struct host host = {
        .loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV),
        .inspect = order->inspect,
        .inspect_arg = order->inspect_arg,
    };

    require(host.loop != NULL);
    struct lasting *own =
        order->lasting == NULL ? lasting_new(host.loop, NULL) : NULL;
    host.lasting = own != NULL ? own : order->lasting;
    const struct reading r = {order, share, w};
    bool done = (order->nginx ? evaluate_nginx : evaluate_file)(&r, &host, plan,
                                                                errors);
    lasting_free(own);
    ev_loop_destroy(host.loop);
    return done;
}
