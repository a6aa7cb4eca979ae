#include "process/worker_gauges.h"

#include "base/slice.h"
#include "lua/auth_pool.h"
#include "lua/certificates.h"
#include "process/log_writer.h"
#include "proto/proto.h"

#include <stdarg.h>
#include <stdio.h>

#define NAME_MAX_LEN 1400

/* Adds to the gauge of that name. */
static void add(struct counters *into, double value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
add(struct counters *into, double value, const char *format, ...)
{
    char name[NAME_MAX_LEN];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    counters_gauge(into, name)->value += value;
}

static void
read_sessions(struct counters *into, const struct sessions *s)
{
    const struct proto *p;

    for (size_t i = 0; (p = proto_at(i)) != NULL; i++) {
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            add(into, (double)s->in_phase[i][phase],
                "sessions{phase=\"%s\",protocol=\"%s\"}",
                phase_name((enum phase)phase), p->name);
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
    add(arg, (double)facts->sessions,
        "pool_member_sessions{member=\"%s\",pool=\"%s\"}", member, pool);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        add(arg, i == (size_t)facts->state,
            "pool_member_workers{member=\"%s\",pool=\"%s\",state=\"%s\"}",
            member, pool, states[i]);
}

static void
read_auth_servers(struct counters *into, const struct lasting *l)
{
    char server[COUNTER_LABEL_MAX];

    for (struct list *i = l->auth_pools.next; i != &l->auth_pools;
         i = i->next) {
        struct auth_pool *p = container_of(i, struct auth_pool, link);
        (void)counter_label(slice_of(p->url.text), server);
        add(into, (double)p->kept, "auth_idle_connections{server=\"%s\"}",
            server);
        add(into, p->failed_until > ev_now(l->loop),
            "auth_failing_workers{server=\"%s\"}", server);
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
        add(into, (double)o->facts.not_after,
            "certificate_expires_seconds{file=\"%s\"}",
            counter_label(slice_of(o->name), name));
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
