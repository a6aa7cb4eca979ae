#include "net/dns.h"

#include "base/check.h"
#include "base/list.h"
#include "base/slice.h"
#include "net/dns_flights.h"
#include "net/dns_hosts.h"
#include "net/dns_records.h"
#include "net/stand_in.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_FILE "/etc/hosts"

struct dns {
    struct ev_loop *loop;
    struct dns_flights *flights;
    struct dns_hosts *hosts;
    struct list queries; /* those that somebody waits for */
};

enum kind { KIND_ADDRESSES, KIND_RECORDS, KIND_REVERSE };

/* Waits for one answer, or for one of each family. */
struct dns_query {
    struct list link;
    struct dns *home;
    enum kind kind;
    struct dns_wait waits[2];
    unsigned outstanding; /* answers that are still to come */
    bool finished;        /* the outcome is settled */
    ev_timer timer;       /* the deadline; then carries the delivery */
    enum dns_status status;
    union {
        dns_addresses_fn addresses;
        dns_records_fn records;
    } done;
    void *arg;
    uint16_t port;      /* to set in the addresses */
    int type;           /* of the records */
    struct addr client; /* KIND_REVERSE */
    struct dns_found found;
    struct dns_records records;
};

static void
stop_waiting(struct dns_query *q)
{
    for (size_t i = 0; i < sizeof q->waits / sizeof q->waits[0]; i++)
        dns_flights_leave(&q->waits[i]);
}

/* Nobody waits any longer. */
static void
leave(struct dns_query *q)
{
    stop_waiting(q);
    ev_timer_stop(q->home->loop, &q->timer);
    list_remove(&q->link);
}

static void
query_free(struct dns_query *q)
{
    dns_records_deinit(&q->records);
    free(q);
}

static void
deliver(struct dns_query *q)
{
    leave(q);
    if (q->kind == KIND_ADDRESSES)
        q->done.addresses(q->arg, q->status, q->found.addresses,
                          q->found.count);
    else
        q->done.records(q->arg, q->status, q->records.items, q->records.count);
    query_free(q);
}

static void
settle(struct dns_query *q, enum dns_status status)
{
    q->finished = true;
    q->status = status;
    stop_waiting(q);
    if (status == DNS_OK)
        return;
    q->found.count = 0;
    dns_records_deinit(&q->records);
}

/* The answer is delivered from the loop, so that nobody hears of it before he
 * has the query in hand. */
static void
finish(struct dns_query *q, enum dns_status status)
{
    settle(q, status);
    ev_timer_stop(q->home->loop, &q->timer);
    ev_feed_event(q->home->loop, &q->timer, EV_CUSTOM);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dns_query *q = container_of(timer, struct dns_query, timer);

    (void)loop;
    (void)events;
    if (!q->finished)
        settle(q, DNS_TIMEOUT);
    deliver(q);
}

/* Each who asks begins with another one, so that a host's addresses share what
 * there is to do. */
static void
collect(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_found *found = &q->found;

    for (size_t i = 0; i < answer->count && found->count < DNS_FOUND_MAX; i++) {
        size_t next = (i + answer->turn) % answer->count;
        if (addr_parse_ip(answer->records[next], q->port,
                          &found->addresses[found->count]))
            found->count++;
    }
}

static bool
same_ip(const struct addr *a, const struct addr *b)
{
    char left[ADDR_TEXT_MAX];
    char right[ADDR_TEXT_MAX];

    return strcmp(addr_format_ip(a, left), addr_format_ip(b, right)) == 0;
}

static bool
has_client(const struct dns_query *q)
{
    for (size_t i = 0; i < q->found.count; i++) {
        if (same_ip(&q->found.addresses[i], &q->client))
            return true;
    }
    return false;
}

/* All answers are here.  What one family found is an answer whatever the
 * other said.  A name is the client's only if it leads back to the client,
 * since anybody may write anything into his own reverse zone. */
static void
finish_addresses(struct dns_query *q)
{
    bool found = q->found.count > 0;

    if (q->kind == KIND_REVERSE)
        found = has_client(q);
    if (found)
        finish(q, DNS_OK);
    else
        finish(q, q->status == DNS_OK ? DNS_NOT_FOUND : q->status);
}

static void
on_addresses(void *arg, enum dns_status status, const struct dns_answer *answer)
{
    struct dns_query *q = arg;

    q->outstanding--;
    if (status != DNS_OK && q->status != DNS_FAILED)
        q->status = status;
    collect(q, answer);
    if (q->outstanding == 0)
        finish_addresses(q);
}

static void
ask_addresses(struct dns_query *q, const char *name, int family)
{
    bool v4 = family == AF_INET;
    struct dns_wait *w = &q->waits[v4];

    *w = (struct dns_wait){.answered = on_addresses, .arg = q};
    dns_flights_ask(
        q->home->flights,
        (struct dns_key){slice_of(name), v4 ? DNS_HOST_V4 : DNS_HOST_V6}, w);
}

static bool
is_host_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && c != '-' && c != '.')
            return false;
    }
    return name.len > 0;
}

/* Keeps the first name alone, in small letters, and asks whether it leads back.  One that
 * can be no host's is a fault of the zone, as with nginx. */
static void
confirm(struct dns_query *q)
{
    dns_records_keep_first(&q->records);
    if (!is_host_name(q->records.items[0])) {
        finish(q, DNS_FAILED);
        return;
    }
    q->outstanding++;
    ask_addresses(q, q->records.items[0].ptr, q->client.any.sa_family);
}

static void
on_records(void *arg, enum dns_status status, const struct dns_answer *answer)
{
    struct dns_query *q = arg;

    for (size_t i = 0; i < answer->count; i++)
        dns_records_add(&q->records, answer->records[i]);
    if (status == DNS_OK && q->kind == KIND_REVERSE)
        confirm(q);
    else
        finish(q, status);
}

static struct dns_query *
query_new(struct dns *d, enum kind kind, double timeout, void *arg)
{
    struct dns_query *q = xcalloc(1, sizeof *q);

    q->home = d;
    q->kind = kind;
    q->arg = arg;
    for (size_t i = 0; i < sizeof q->waits / sizeof q->waits[0]; i++)
        list_init(&q->waits[i].link);
    list_append(&d->queries, &q->link);
    ev_timer_init(&q->timer, on_timer, timeout, 0.);
    ev_timer_start(d->loop, &q->timer);
    return q;
}

/* What needs no question on the wire: literals and the hosts file. */
static bool
answer_at_once(struct dns_query *q, const char *host, int family)
{
    struct dns_found *found = &q->found;

    if (addr_parse_ip(slice_of(host), 0, &found->addresses[0])) {
        int literal = found->addresses[0].any.sa_family;
        found->count = family == AF_UNSPEC || family == literal;
    } else if (!dns_hosts_find(q->home->hosts, slice_of(host), family, found)) {
        return false;
    }
    for (size_t i = 0; i < found->count; i++)
        addr_set_port(&found->addresses[i], q->port);
    finish_addresses(q);
    return true;
}

struct dns_query *
dns_resolve(struct dns *d, const struct dns_question *asked,
            dns_addresses_fn done, void *arg)
{
    static const int families[] = {
        [DNS_ANY] = AF_UNSPEC, [DNS_V4] = AF_INET, [DNS_V6] = AF_INET6};
    struct dns_query *q = query_new(d, KIND_ADDRESSES, asked->timeout, arg);
    int family = families[asked->family];

    q->done.addresses = done;
    q->port = asked->port;
    if (answer_at_once(q, asked->name, family))
        return q;
    /* Both are counted first: the answer may come inside of the asking. */
    q->outstanding = family == AF_UNSPEC ? 2 : 1;
    if (family != AF_INET)
        ask_addresses(q, asked->name, AF_INET6);
    if (family != AF_INET6)
        ask_addresses(q, asked->name, AF_INET);
    return q;
}

/* The name under which an address has its PTR records. */
static void
reverse_name(const struct addr *a, char *out, size_t size)
{
    const void *start = &a->storage;
    size_t len = 0;

    if (a->any.sa_family == AF_INET) {
        const struct sockaddr_in *v4 = start;
        const uint8_t *b = (const uint8_t *)&v4->sin_addr;
        (void)snprintf(out, size, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1],
                       b[0]);
        return;
    }
    const struct sockaddr_in6 *v6 = start;
    for (size_t i = sizeof v6->sin6_addr; i-- > 0;) {
        unsigned b = v6->sin6_addr.s6_addr[i];
        len +=
            (size_t)snprintf(out + len, size - len, "%x.%x.", b & 15U, b >> 4U);
    }
    (void)snprintf(out + len, size - len, "ip6.arpa");
}

static struct dns_query *
ask_records(struct dns_query *q, const char *name)
{
    struct dns_wait *w = &q->waits[0];

    *w = (struct dns_wait){.answered = on_records, .arg = q};
    dns_flights_ask(q->home->flights, (struct dns_key){slice_of(name), q->type},
                    w);
    return q;
}

/* Nobody is asked: what is found is said. */
static void
rehearse(struct dns_query *q, const struct dns_question *asked)
{
    struct stand_in *in = stand_in_of(q->home->loop);
    struct stand_in_lookup found = {.status = DNS_FAILED};

    in->lookup(in, asked, &found);
    if (found.silent || found.delay >= asked->timeout)
        return;
    for (size_t i = 0; i < found.count; i++)
        dns_records_add(&q->records, found.records[i]);
    settle(q, found.status);
    ev_timer_stop(q->home->loop, &q->timer);
    ev_timer_set(&q->timer, found.delay, 0.);
    ev_timer_start(q->home->loop, &q->timer);
}

struct dns_query *
dns_lookup(struct dns *d, const struct dns_question *asked, dns_records_fn done,
           void *arg)
{
    struct dns_query *q = query_new(d, KIND_RECORDS, asked->timeout, arg);
    char reversed[NS_MAXDNAME];
    struct addr a;

    q->done.records = done;
    if (stand_in_of(d->loop) != NULL) {
        rehearse(q, asked);
        return q;
    }
    q->type = dns_records_type(asked->type);
    if (q->type == 0) {
        finish(q, DNS_FAILED);
        return q;
    }
    if (q->type == ns_t_ptr && addr_parse_ip(slice_of(asked->name), 0, &a)) {
        reverse_name(&a, reversed, sizeof reversed);
        return ask_records(q, reversed);
    }
    return ask_records(q, asked->name);
}

struct dns_query *
dns_reverse(struct dns *d, const struct addr *client, double timeout,
            dns_records_fn done, void *arg)
{
    struct dns_query *q = query_new(d, KIND_REVERSE, timeout, arg);
    char name[NS_MAXDNAME];

    q->done.records = done;
    q->client = *client;
    q->type = ns_t_ptr;
    if (client->len == 0 || addr_is_local(client)) {
        finish(q, DNS_NOT_FOUND);
        return q;
    }
    reverse_name(client, name, sizeof name);
    return ask_records(q, name);
}

void
dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    leave(q);
    query_free(q);
}

struct dns *
dns_new(struct ev_loop *loop, const struct dns_options *options,
        struct error *err)
{
    struct dns_flights *flights = dns_flights_new(loop, options, err);
    if (flights == NULL)
        return NULL;

    struct dns *d = xcalloc(1, sizeof *d);
    d->loop = loop;
    d->flights = flights;
    d->hosts = dns_hosts_read(HOSTS_FILE);
    list_init(&d->queries);
    return d;
}

void
dns_forget(struct dns *d)
{
    dns_flights_forget(d->flights);
}

void
dns_free(struct dns *d)
{
    if (d == NULL)
        return;
    for (struct list *l = d->queries.next, *next; l != &d->queries; l = next) {
        next = l->next;
        dns_cancel(container_of(l, struct dns_query, link));
    }
    dns_flights_free(d->flights);
    dns_hosts_free(d->hosts);
    free(d);
}
