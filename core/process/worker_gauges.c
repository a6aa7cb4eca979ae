#include "process/worker_gauges.h"

#include "base/slice.h"
#include "lua/auth_pool.h"
#include "lua/certificates.h"
#include "process/log_writer.h"
#include "proto/proto.h"

static void
read_sessions(struct counters *into, const struct sessions *s)
{
    const struct proto *p;

    for (size_t i = 0; (p = proto_at(i)) != NULL; i++) {
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            counters_gauge(into, "sessions{phase=\"%s\",protocol=\"%s\"}",
                           phase_name((enum phase)phase), p->name)
                ->value = (double)s->counts[i].in_phase[phase];
    }
}

static void
read_member(void *arg, const struct member_facts *facts)
{
    static const char *const states[] = {
        [MEMBER_UP] = "up", [MEMBER_DOWN] = "down", [MEMBER_TRIED] = "tried"};
    char pool[COUNTER_LABEL_MAX], member[COUNTER_LABEL_MAX];

    if (facts->pool.len == 0 || facts->retired)
        return;
    (void)counter_label(facts->pool, pool);
    (void)counter_label(slice_of(facts->address), member);
    counters_gauge(arg, "pool_member_sessions{member=\"%s\",pool=\"%s\"}",
                   member, pool)
        ->value += (double)facts->sessions;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        counters_gauge(
            arg, "pool_member_workers{member=\"%s\",pool=\"%s\",state=\"%s\"}",
            member, pool, states[i])
            ->value += i == (size_t)facts->state;
}

static void
read_auth_servers(struct counters *into, const struct lasting *l)
{
    char server[COUNTER_LABEL_MAX];

    for (struct list *i = l->auth_pools.next; i != &l->auth_pools;
         i = i->next) {
        struct auth_pool *p = container_of(i, struct auth_pool, link);
        (void)counter_label(slice_of(p->url.text), server);
        counters_gauge(into, "auth_idle_connections{server=\"%s\"}", server)
            ->value += (double)p->kept;
        counters_gauge(into, "auth_failing_workers{server=\"%s\"}", server)
            ->value += p->failed_until > ev_now(l->loop);
    }
}

static void
read_certificates(struct counters *into, const struct config *c)
{
    char name[COUNTER_LABEL_MAX];

    for (const struct own_certificate *o = c->own->first; o != NULL;
         o = o->next) {
        if (!certificates_is_first(c->own, o) || o->why.text[0] != '\0')
            continue;
        counters_gauge(into, "certificate_expires_seconds{file=\"%s\"}",
                       counter_label(slice_of(o->name), name))
            ->value += (double)o->facts.not_after;
    }
}

void
worker_gauges_read(struct counters *into, const struct sessions *sessions,
                   const struct lasting *lasting)
{
    read_sessions(into, sessions);
    pools_each(lasting->pools, ev_now(lasting->loop), read_member, into);
    read_auth_servers(into, lasting);
    read_certificates(into, sessions->config);
    counters_get(into, "log_lines_dropped_total")->value =
        (double)log_writer_dropped();
}
