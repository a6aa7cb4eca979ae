#include "session/pools.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/addr.h"
#include "session/member.h"

#include <stdlib.h>

#define BUCKETS 1024
/* Upstreams that nobody uses and that have failed: that many are remembered. */
#define FAILED_MAX 1024

struct pools {
    struct list all;
    struct member *buckets[BUCKETS]; /* by host */
    size_t unused;                   /* members without a reference */
    uint64_t ticks;
    bool ended; /* freed with the last reference to a member */
};

struct pools *
pools_new(void)
{
    struct pools *p = xcalloc(1, sizeof *p);

    list_init(&p->all);
    return p;
}

/* The bucket that members at the host are in. */
static size_t
bucket(struct slice host)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (size_t i = 0; i < host.len; i++)
        hash = (hash ^ (unsigned char)host.ptr[i]) * 16777619U;
    return hash % BUCKETS;
}

static void
forget(struct member *m)
{
    struct member **at = &m->home->buckets[bucket(slice_of(m->host))];

    while (*at != m)
        at = &(*at)->twin;
    *at = m->twin;
    list_remove(&m->link);
    free(m->pool);
    free(m->host);
    free(m->address);
    free(m);
}

void
pools_free(struct pools *p)
{
    if (p == NULL)
        return;
    for (struct list *l = p->all.next, *next; l != &p->all; l = next) {
        struct member *m = container_of(l, struct member, link);
        next = l->next;
        if (m->references == 0)
            forget(m);
    }
    p->ended = true;
    if (list_is_empty(&p->all))
        free(p);
}

static char *
address_of(const struct place *place)
{
    char text[PLACE_TEXT_MAX];

    place_format(place->host, place->port, text);
    return xstrndup(text, strlen(text));
}

static struct member *
find(struct pools *p, const struct place *place)
{
    struct member *m = p->buckets[bucket(place->host)];

    while (m != NULL && (m->port != place->port ||
                         !slice_equal(slice_of(m->host), place->host) ||
                         !slice_equal(slice_of(m->pool), place->pool)))
        m = m->twin;
    return m;
}

struct member *
pools_take(struct pools *p, const struct place *place)
{
    struct member *m = find(p, place);

    if (m != NULL)
        return member_ref(m);
    m = xcalloc(1, sizeof *m);
    m->home = p;
    m->pool = xstrndup(place->pool.ptr, place->pool.len);
    m->host = xstrndup(place->host.ptr, place->host.len);
    m->address = address_of(place);
    m->port = place->port;
    m->references = 1;
    list_append(&p->all, &m->link);
    struct member **at = &p->buckets[bucket(place->host)];
    m->twin = *at;
    *at = m;
    return m;
}

struct member *
member_ref(struct member *m)
{
    if (m->references++ == 0)
        m->home->unused--;
    return m;
}

void
member_unref(struct member *m)
{
    if (m == NULL)
        return;
    require(m->references > 0);
    if (--m->references == 0)
        pools_drop(m);
}

/* The one whose last failure is longest ago, among those nobody refers to. */
static struct member *
stalest(struct pools *p)
{
    struct member *found = NULL;

    for (struct list *l = p->all.next; l != &p->all; l = l->next) {
        struct member *m = container_of(l, struct member, link);
        if (m->references == 0 &&
            (found == NULL || m->last_failure < found->last_failure))
            found = m;
    }
    return found;
}

void
pools_drop(struct member *m)
{
    struct pools *p = m->home;

    if (p->ended || m->pool[0] != '\0' || m->failures == 0) {
        forget(m);
        if (p->ended && list_is_empty(&p->all))
            free(p);
        return;
    }
    if (++p->unused <= FAILED_MAX)
        return;
    p->unused--;
    forget(stalest(p));
}

void
pools_forget_listed(struct pools *p)
{
    for (struct list *l = p->all.next; l != &p->all; l = l->next)
        container_of(l, struct member, link)->listed = false;
}

void
member_list(struct member *m)
{
    m->listed = true;
}

void
pools_each(const struct pools *p, double now,
           void (*each)(void *arg, const struct member_facts *facts), void *arg)
{
    for (struct list *l = p->all.next; l != &p->all; l = l->next) {
        const struct member *m = container_of(l, struct member, link);
        struct member_facts facts;
        member_facts(m, now, &facts);
        if (!facts.retired || m->sessions > 0)
            each(arg, &facts);
    }
}

static bool
is_at(const struct member *m, const struct place *place)
{
    return (m->port == place->port || m->port == 0 || place->port == 0) &&
           slice_equal(slice_of(m->host), place->host) &&
           (place->pool.len == 0 ||
            slice_equal(slice_of(m->pool), place->pool));
}

bool
pools_find(const struct pools *p, const struct place *place, double now,
           struct member_facts *facts)
{
    bool found = false;
    struct member_facts one;
    const struct member *m = p->buckets[bucket(place->host)];

    for (; m != NULL; m = m->twin) {
        if (!is_at(m, place))
            continue;
        member_facts(m, now, &one);
        if (!found) {
            *facts = one;
            found = true;
            continue;
        }
        facts->sessions += one.sessions;
        if (one.failures > facts->failures)
            facts->failures = one.failures;
        if (facts->state == MEMBER_UP)
            facts->state = one.state;
        if (one.seconds > facts->seconds)
            facts->seconds = one.seconds;
    }
    return found;
}

uint64_t
pools_tick(struct pools *p)
{
    return ++p->ticks;
}
