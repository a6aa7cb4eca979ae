#include "lua/shadow.h"

#include "base/check.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"
#include "lua/hook_run.h"
#include "lua/shadow_session.h"
#include "lua/target.h"

#include <stdio.h>
#include <stdlib.h>

/* A decision, as far as it is compared. */
struct outcome {
    enum verdict_kind kind;
    enum reason reason;
    char upstream[TARGET_TEXT_MAX];
    char policy[128]; /* who decided */
};

struct shadow {
    struct list link; /* in generation->shadows, until it begins */
    struct generation *generation;
    struct shadow_session copy;
    enum hook hook;
    struct outcome live;
    ev_timer begin;
};

static const struct chain *
chain_of(const struct generation *g, const struct listener_config *l)
{
    const struct chain *live = generation_chain(g, l);

    return live == NULL ? NULL : &g->shadow_chains[live - g->chains];
}

bool
shadow_has(const struct generation *g, const struct listener_config *l,
           enum hook hook)
{
    size_t next = 0;
    bool followed = hook == HOOK_CONNECT || hook == HOOK_AUTH ||
                    hook == HOOK_ROUTE || hook == HOOK_RCPT;

    return followed && chain_next(chain_of(g, l), (int)hook, &next) != NULL;
}

static void
outcome_of(const struct session *s, struct outcome *o)
{
    const struct verdict *v = &s->login->verdict;

    *o = (struct outcome){.kind = v->kind};
    if (v->kind == VERDICT_REJECT || v->kind == VERDICT_TEMPFAIL)
        o->reason = v->refusal.reason;
    if (target_is_set(&v->target))
        (void)target_format(&v->target, s->listener->proto, o->upstream);
    (void)snprintf(o->policy, sizeof o->policy, "%.*s", (int)v->policy.len,
                   v->policy.len > 0 ? v->policy.ptr : "");
}

static bool
is_same(const struct outcome *a, const struct outcome *b)
{
    return a->kind == b->kind && a->reason == b->reason &&
           strcmp(a->upstream, b->upstream) == 0;
}

/* "reject not-allowed by \"acl\"" */
static const char *
describe(const struct outcome *o, char *out, size_t size)
{
    char policy[300];
    bool no = o->kind == VERDICT_REJECT || o->kind == VERDICT_TEMPFAIL;
    const char *what = no ? reason_label(o->reason) : o->upstream;

    (void)log_escape(slice_of(o->policy), policy, sizeof policy);
    (void)snprintf(out, size, "%s%s%s%s%s%s", decision_name(o->kind),
                   what[0] != '\0' ? " " : "", what,
                   policy[0] != '\0' ? " by \"" : "", policy,
                   policy[0] != '\0' ? "\"" : "");
    return out;
}

static void
shadow_free(struct shadow *sh)
{
    list_remove(&sh->link);
    ev_timer_stop(sh->generation->host.loop, &sh->begin);
    sh->generation->shadow_count--;
    shadow_session_deinit(&sh->copy);
    free(sh);
}

static void
decided(struct session *s)
{
    struct shadow_session *copy =
        container_of(s, struct shadow_session, session);
    struct shadow *sh = container_of(copy, struct shadow, copy);
    struct outcome mine;
    char live[600], shadow[600];

    outcome_of(s, &mine);
    if (!is_same(&sh->live, &mine)) {
        counters_count(vm_counters(sh->generation->vm),
                       "shadow_mismatch_total{hook=\"%s\",policy=\"%s\"}",
                       hook_name(sh->hook), mine.policy);
        log_warn("session %s: hook \"%s\": live: %s, shadow: %s", s->id,
                 hook_name(sh->hook), describe(&sh->live, live, sizeof live),
                 describe(&mine, shadow, sizeof shadow));
    }
    shadow_free(sh);
}

/* By now the live answer has been acted on. */
static void
on_begin(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct shadow *sh = container_of(timer, struct shadow, begin);
    struct session *s = &sh->copy.session;
    struct generation *g = sh->generation;

    (void)loop;
    (void)events;
    list_remove(&sh->link);
    counters_count(vm_counters(g->vm), "shadow_calls_total{hook=\"%s\"}",
                   hook_name(sh->hook));
    hook_ask_shadow(g, s, sh->hook, chain_of(g, s->listener), decided);
}

void
shadow_follow(struct generation *g, struct session *s, enum hook hook)
{
    struct verdict *v = &s->login->verdict;

    if (v->kind == VERDICT_WAIT || !shadow_has(g, s->listener, hook))
        return;
    /* Live logins have the first claim on calls. */
    if (g->shadow_count >= SHADOWS_MAX || g->vm->closing ||
        g->vm->call_count > CALLS_MAX / 2) {
        counters_count(vm_counters(g->vm), "shadow_dropped_total{hook=\"%s\"}",
                       hook_name(hook));
        return;
    }
    struct shadow *sh = xcalloc(1, sizeof *sh);
    if (!shadow_session_init(&sh->copy, s)) {
        counters_count(vm_counters(g->vm), "shadow_dropped_total{hook=\"%s\"}",
                       hook_name(hook));
        free(sh);
        return;
    }
    sh->generation = g;
    sh->hook = hook;
    outcome_of(s, &sh->live);
    list_append(&g->shadows, &sh->link);
    g->shadow_count++;
    ev_timer_init(&sh->begin, on_begin, 0., 0.);
    ev_timer_start(g->host.loop, &sh->begin);
}

void
shadow_end_all(struct generation *g)
{
    for (struct list *l = g->shadows.next, *next; l != &g->shadows; l = next) {
        next = l->next;
        shadow_free(container_of(l, struct shadow, link));
    }
}
