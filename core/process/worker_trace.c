#include "process/worker_trace.h"

static struct worker_trace *
trace_of(struct trace_observer *o)
{
    return o->records ? container_of(o, struct worker_trace, records)
                      : container_of(o, struct worker_trace, looks_on);
}

static bool
follows(struct trace_observer *o, const struct session *s)
{
    struct session_facts facts = worker_link_facts(s);

    return worker_link_follows(trace_of(o)->link, &facts, o->records);
}

static void
see(struct trace_observer *o, const struct session *s, struct slice line)
{
    struct session_facts facts = worker_link_facts(s);

    worker_link_publish(trace_of(o)->link, &facts, o->records, line);
}

void
worker_trace_init(struct worker_trace *t, struct worker_link *link)
{
    *t = (struct worker_trace){
        .looks_on = {.follows = follows, .see = see},
        .records = {.follows = follows, .see = see, .records = true},
        .link = link,
    };
}

static void
update(struct trace_observer *o, bool wanted)
{
    trace_remove(o);
    if (wanted)
        trace_add(o);
}

void
worker_trace_update(struct worker_trace *t)
{
    update(&t->looks_on, worker_link_has_followers(t->link, false));
    update(&t->records, worker_link_has_followers(t->link, true));
}
