#include "lua/hook_ops.h"

#include "base/check.h"
#include "lua/hook_run.h"
#include "lua/lease.h"
#include "lua/shadow.h"
#include "lua/vars.h"

static struct generation *
generation_of_policy(struct policy *p)
{
    return container_of(p, struct generation, policy);
}

static bool
live_has(const struct generation *g, const struct listener_config *l,
         enum hook hook)
{
    size_t next = 0;

    return chain_next(generation_chain(g, l), (int)hook, &next) != NULL;
}

static bool
has(struct policy *p, const struct listener_config *l, enum hook hook)
{
    struct generation *g = generation_of_policy(p);

    return live_has(g, l, hook) || shadow_has(g, l, hook);
}

static void
ask(struct policy *p, struct session *s, enum hook hook)
{
    struct generation *g = generation_of_policy(p);

    if (live_has(g, s->listener, hook)) {
        hook_ask(g, s, hook);
        return;
    }
    s->login->verdict.kind = VERDICT_NONE;
    shadow_follow(g, s, hook);
}

static void
cancel(struct policy *p, struct session *s)
{
    (void)p;
    if (s->call != NULL)
        hook_cancel(s->call);
}

static void
forget(struct policy *p, struct session *s)
{
    cancel(p, s);
    lease_end_all(s);
    vars_unref(s->record.vars);
    s->record.vars = NULL;
}

static void
hold(struct policy *p)
{
    generation_of_policy(p)->holds++;
}

static void
let_go(struct policy *p)
{
    struct generation *g = generation_of_policy(p);

    require(g->holds > 0);
    g->holds--;
}

static unsigned
mechanisms(struct policy *p, struct session *s, unsigned otherwise)
{
    return hook_mechanisms(generation_of_policy(p), s, otherwise);
}

const struct policy_ops hook_ops = {has,  ask,    cancel,    forget,
                                    hold, let_go, mechanisms};
