#include "lua/hook_count.h"

#include "base/log.h"
#include "lua/decision.h"
#include "lua/lasting.h"

static struct counters *
counters_of(const struct generation *g)
{
    return vm_counters(g->vm);
}

void
hook_count_begin(struct generation *g)
{
    for (int i = 0; i < HOOK_ALL; i++) {
        g->hook_seconds[i] = counters_get(
            counters_of(g), "hook_seconds_total{hook=\"%s\"}", hook_label(i));
        g->hook_calls[i] = counters_get(
            counters_of(g), "hook_calls_total{hook=\"%s\"}", hook_label(i));
    }
}

void
hook_count_call(struct generation *g, int hook)
{
    g->hook_calls[hook]->value++;
    g->totals.calls++;
}

void
hook_count_seconds(struct generation *g, int hook, double seconds)
{
    g->hook_seconds[hook]->value += seconds;
}

void
hook_count_error(struct generation *g, int hook, const struct loaded_policy *p)
{
    counters_count(counters_of(g),
                   "hook_errors_total{hook=\"%s\",policy=\"%s\"}",
                   hook_label(hook), p->name);
}

void
hook_count_timeout(struct generation *g, int hook,
                   const struct loaded_policy *p)
{
    counters_count(counters_of(g),
                   "hook_timeouts_total{hook=\"%s\",policy=\"%s\"}",
                   hook_label(hook), p->name);
}

void
hook_count_overload(struct generation *g, int hook, const struct session *s)
{
    counters_count(counters_of(g), "hook_overload_total");
    log_warn("session %s: hook \"%s\": %zu hooks run already", s->id,
             hook_label(hook), g->vm->call_count);
}

void
hook_count_verdict(struct generation *g, enum hook hook,
                   const struct verdict *v)
{
    struct counter **decisions = &g->decisions[hook][v->kind];

    if (v->bug)
        g->totals.bugs++;
    if (*decisions == NULL)
        *decisions = counters_get(counters_of(g),
                                  "decisions_total{hook=\"%s\",kind=\"%s\"}",
                                  hook_name(hook), decision_name(v->kind));
    (*decisions)->value++;
}
