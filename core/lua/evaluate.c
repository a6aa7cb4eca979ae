#include "lua/evaluate.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/config.h"
#include "lua/generation.h"
#include "lua/lasting.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

static void
add_file(void *files, const char *path, const struct file_stamp *stamp)
{
    plan_files_add(files, slice_of(path), stamp);
}

bool
config_evaluate(const struct config_order *order, const struct share *share,
                struct bundle_writer *w, struct plan *plan, char **errors)
{
    /* Files are loaded as in a worker; nothing waits, so no loop runs. */
    struct host host = {.loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV)};

    require(host.loop != NULL);
    host.lasting = lasting_new(host.loop, NULL);
    struct generation *g = generation_load(
        &host, source_of_disk(order->path, share, w), 1, errors);
    if (g != NULL) {
        plan_build(g->vm->L, 1, g->config, plan);
        source_each_file(g->source, true, add_file, &plan->tls);
        if (plan->watch)
            source_each_file(g->source, false, add_file, &plan->sources);
        plan_add_staples(plan, g->config->own);
        free(*errors);
        *errors = NULL;
    }
    bool done = g != NULL;
    generation_free(g);
    lasting_free(host.lasting);
    ev_loop_destroy(host.loop);
    return done;
}
