#include "net/dns_flights.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/dns_channel.h"
#include "net/dns_records.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS     1024
#define JOINED      0.5 /* seconds that others may join a question */
#define ENTRIES_MAX 4096
#define BYTES_MAX   ((size_t)1024 * 1024)

/* A question under way.  c-ares can't forget one alone, so it stays until it is
 * answered, though nobody may wait any longer. */
struct flight {
    struct list link;
    struct dns_flights *home;
    struct dns_key key; /* the name is NUL-terminated, and ours */
    double started;
    struct list waits;
    bool sibling_has_none; /* the host has no addresses of the other family */
};

struct dns_flights {
    struct ev_loop *loop;
    struct dns_channel *channel;
    struct dns_cache *cache;
    double valid; /* see struct dns_options */
    struct list buckets[BUCKETS];
};

static struct list *
bucket_of(struct dns_flights *f, struct dns_key key)
{
    return &f->buckets[dns_key_hash(key) % BUCKETS];
}

/* The youngest that asks this. */
static struct flight *
find(struct dns_flights *f, struct dns_key key)
{
    struct list *bucket = bucket_of(f, key);

    for (struct list *l = bucket->prev; l != bucket; l = l->prev) {
        struct flight *found = container_of(l, struct flight, link);
        if (dns_key_equal(found->key, key))
            return found;
    }
    return NULL;
}

static enum dns_status
status_of(int ares_status)
{
    switch (ares_status) {
    case ARES_SUCCESS:
        return DNS_OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return DNS_NOT_FOUND;
    case ARES_ETIMEOUT:
        return DNS_TIMEOUT;
    default:
        return DNS_FAILED;
    }
}

/* --- what is kept --- */

static bool
is_host(struct dns_key key)
{
    return key.type == DNS_HOST_V4 || key.type == DNS_HOST_V6;
}

static struct dns_key
sibling_of(struct dns_key key)
{
    key.type = key.type == DNS_HOST_V4 ? DNS_HOST_V6 : DNS_HOST_V4;
    return key;
}

static size_t
count_waits(const struct flight *f)
{
    size_t count = 0;

    for (const struct list *l = f->waits.next; l != &f->waits; l = l->next)
        count++;
    return count;
}

static void
keep_found(const struct flight *f, const struct dns_records *records)
{
    struct dns_flights *home = f->home;
    double now = ev_now(home->loop);
    struct dns_answer answer = {
        .records = records->items,
        .count = records->count,
        .turn = count_waits(f),
        .until = now + (home->valid > 0. ? home->valid : records->ttl),
    };
    struct dns_answer none = {.until = answer.until};

    dns_cache_keep(home->cache, f->key, now, &answer);
    if (f->sibling_has_none)
        dns_cache_keep(home->cache, sibling_of(f->key), now, &none);
}

/* Most hosts have addresses of one family: that there are none of the other is
 * known for as long as these are. */
static void
keep_none(const struct flight *f)
{
    struct dns_flights *home = f->home;
    double now = ev_now(home->loop);
    struct dns_answer other;

    if (!is_host(f->key))
        return;
    struct flight *sibling = find(home, sibling_of(f->key));
    if (sibling != NULL) {
        sibling->sibling_has_none = true;
        return;
    }
    if (!dns_cache_find(home->cache, sibling_of(f->key), now, &other) ||
        other.count == 0)
        return;
    struct dns_answer none = {.until = other.until};
    dns_cache_keep(home->cache, f->key, now, &none);
}

/* --- answers --- */

/* What a wait's owner does in `answered` may end other waits. */
static void
tell(struct flight *f, enum dns_status status,
     const struct dns_records *records)
{
    struct dns_answer answer = {.records = records->items};

    if (status == DNS_OK)
        answer.count = records->count;
    for (; !list_is_empty(&f->waits); answer.turn++) {
        struct dns_wait *w = container_of(f->waits.next, struct dns_wait, link);
        list_remove(&w->link);
        w->answered(w->arg, status, &answer);
    }
}

static void
land(struct flight *f, enum dns_status status, struct dns_records *records)
{
    if (status == DNS_OK && records->count == 0)
        status = DNS_NOT_FOUND;
    list_remove(&f->link);
    if (status == DNS_OK)
        keep_found(f, records);
    if (status == DNS_NOT_FOUND)
        keep_none(f);
    tell(f, status, records);
    dns_records_deinit(records);
    free(f);
}

static void
collect(const struct ares_addrinfo *info, struct dns_records *records)
{
    char text[ADDR_TEXT_MAX];

    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL;
         n = n->ai_next) {
        struct addr a = {.len = n->ai_addrlen};
        require(n->ai_addrlen <= sizeof a.storage);
        memcpy(&a.storage, n->ai_addr, n->ai_addrlen);
        dns_records_add(records, slice_of(addr_format_ip(&a, text)));
        dns_records_limit(records, (uint32_t)n->ai_ttl);
    }
    for (const struct ares_addrinfo_cname *n = info->cnames; n != NULL;
         n = n->next)
        dns_records_limit(records, (uint32_t)n->ttl);
}

static void
on_host(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct dns_records records = {.ttl = DNS_TTL_MAX};

    (void)timeouts;
    if (info != NULL)
        collect(info, &records);
    if (info != NULL)
        ares_freeaddrinfo(info);
    land(arg, status_of(status), &records);
}

/* NOLINTBEGIN(readability-non-const-parameter): the type is c-ares's. */
static void
on_reply(void *arg, int ares_status, int timeouts, unsigned char *reply,
         int len)
{
    struct flight *f = arg;
    struct slice bytes = {(const char *)reply, (size_t)len};
    struct dns_records records = {.ttl = DNS_TTL_MAX};
    enum dns_status status = status_of(ares_status);

    (void)timeouts;
    if (status == DNS_OK && !dns_records_parse(bytes, f->key.type, &records))
        status = DNS_FAILED;
    land(f, status, &records);
}
/* NOLINTEND(readability-non-const-parameter) */

/* --- questions --- */

static struct flight *
flight_new(struct dns_flights *home, struct dns_key key)
{
    struct flight *f = xcalloc(1, sizeof *f + key.name.len + 1);
    char *name = (char *)(f + 1);

    memcpy(name, key.name.ptr, key.name.len);
    f->home = home;
    f->key = (struct dns_key){{name, key.name.len}, key.type};
    f->started = ev_now(home->loop);
    list_init(&f->waits);
    list_append(bucket_of(home, key), &f->link);
    return f;
}

/* c-ares may call back inside of this, after which the flight is gone. */
static void
send_question(struct flight *f)
{
    struct dns_channel *channel = f->home->channel;
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT,
        .ai_family = f->key.type == DNS_HOST_V4 ? AF_INET : AF_INET6,
        .ai_socktype = SOCK_STREAM};

    if (is_host(f->key))
        ares_getaddrinfo(dns_channel_ares(channel), f->key.name.ptr, NULL,
                         &hints, on_host, f);
    else
        ares_query(dns_channel_ares(channel), f->key.name.ptr, ns_c_in,
                   f->key.type, on_reply, f);
    dns_channel_asked(channel);
}

/* Who joins a question that has had no answer for long may wait for a packet that
 * was lost, until c-ares sends it again; so he has his own sent. */
static bool
is_fresh(const struct flight *f)
{
    double age = ev_now(f->home->loop) - f->started;

    return age >= 0. && age < JOINED;
}

void
dns_flights_ask(struct dns_flights *f, struct dns_key key, struct dns_wait *w)
{
    struct dns_answer known;

    list_init(&w->link);
    if (dns_cache_find(f->cache, key, ev_now(f->loop), &known)) {
        w->answered(w->arg, known.count > 0 ? DNS_OK : DNS_NOT_FOUND, &known);
        return;
    }
    struct flight *joined = find(f, key);
    if (joined != NULL && is_fresh(joined)) {
        list_append(&joined->waits, &w->link);
        return;
    }
    struct flight *started = flight_new(f, key);
    list_append(&started->waits, &w->link);
    send_question(started);
}

void
dns_flights_leave(struct dns_wait *w)
{
    list_remove(&w->link);
}

void
dns_flights_forget(struct dns_flights *f)
{
    dns_cache_clear(f->cache);
}

struct dns_flights *
dns_flights_new(struct ev_loop *loop, const struct dns_options *options,
                struct error *err)
{
    struct dns_channel *channel = dns_channel_new(loop, options->servers, err);
    if (channel == NULL)
        return NULL;

    struct dns_flights *f = xcalloc(1, sizeof *f);
    f->loop = loop;
    f->channel = channel;
    f->cache = dns_cache_new(ENTRIES_MAX, BYTES_MAX);
    f->valid = options->valid;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&f->buckets[i]);
    return f;
}

void
dns_flights_free(struct dns_flights *f)
{
    if (f == NULL)
        return;
    dns_channel_free(f->channel); /* which ends all that is under way */
    dns_cache_free(f->cache);
    free(f);
}
