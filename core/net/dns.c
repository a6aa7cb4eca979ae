#include "net/dns.h"

#include "base/check.h"
#include "base/list.h"
#include "base/slice.h"
#include "net/dns_channel.h"
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
    struct dns_channel *channel;
    struct dns_hosts *hosts;
    struct list queries; /* those that somebody waits for */
};

enum kind { KIND_ADDRESSES, KIND_RECORDS, KIND_REVERSE };

/* c-ares can't forget one question alone, so a query that was cancelled or
 * came too late stays, unlisted, until c-ares has called back for it. */
struct dns_query {
    struct list link;
    struct dns *home;
    enum kind kind;
    unsigned outstanding; /* calls that c-ares will still make */
    bool finished;        /* the answer is settled */
    bool over;            /* delivered or cancelled */
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
free_if_unused(struct dns_query *q)
{
    if (!q->over || q->outstanding > 0)
        return;
    dns_records_deinit(&q->records);
    free(q);
}

/* Nobody waits any longer. */
static void
leave(struct dns_query *q)
{
    q->over = true;
    ev_timer_stop(q->home->loop, &q->timer);
    list_remove(&q->link);
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
    free_if_unused(q);
}

static void
settle(struct dns_query *q, enum dns_status status)
{
    q->finished = true;
    q->status = status;
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

/* c-ares has called back.  false: nobody waits for what it brings. */
static bool
arrive(struct dns_query *q)
{
    q->outstanding--;
    return !q->over && !q->finished;
}

static void
collect(struct dns_query *q, const struct ares_addrinfo *info)
{
    const struct ares_addrinfo_node *node = info->nodes;

    for (; node != NULL && q->found.count < DNS_FOUND_MAX;
         node = node->ai_next) {
        struct addr *a = &q->found.addresses[q->found.count++];
        require(node->ai_addrlen <= sizeof a->storage);
        *a = (struct addr){.len = node->ai_addrlen};
        memcpy(&a->storage, node->ai_addr, node->ai_addrlen);
        addr_set_port(a, q->port);
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
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct dns_query *q = arg;

    (void)timeouts;
    if (arrive(q)) {
        if (status_of(status) != DNS_OK && q->status != DNS_FAILED)
            q->status = status_of(status);
        if (info != NULL)
            collect(q, info);
        if (q->outstanding == 0)
            finish_addresses(q);
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
    free_if_unused(q);
}

static void
ask_addresses(struct dns_query *q, const char *name, int family)
{
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
                                        .ai_family = family,
                                        .ai_socktype = SOCK_STREAM};

    ares_getaddrinfo(dns_channel_ares(q->home->channel), name, NULL, &hints,
                     on_addresses, q);
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

/* NOLINTBEGIN(readability-non-const-parameter): the type is c-ares's. */
static void
on_records(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct dns_query *q = arg;

    (void)timeouts;
    if (arrive(q)) {
        struct slice bytes = {(const char *)reply, (size_t)len};
        enum dns_status result = status_of(status);
        if (result == DNS_OK && !dns_records_parse(bytes, q->type, &q->records))
            result = DNS_FAILED;
        if (result == DNS_OK && q->records.count == 0)
            result = DNS_NOT_FOUND;
        if (result == DNS_OK && q->kind == KIND_REVERSE)
            confirm(q);
        else
            finish(q, result);
    }
    free_if_unused(q);
}
/* NOLINTEND(readability-non-const-parameter) */

static struct dns_query *
query_new(struct dns *d, enum kind kind, double timeout, void *arg)
{
    struct dns_query *q = xcalloc(1, sizeof *q);

    q->home = d;
    q->kind = kind;
    q->arg = arg;
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
    /* Both are counted first: c-ares may answer inside of the asking. */
    q->outstanding = family == AF_UNSPEC ? 2 : 1;
    if (family != AF_INET)
        ask_addresses(q, asked->name, AF_INET6);
    if (family != AF_INET6)
        ask_addresses(q, asked->name, AF_INET);
    dns_channel_asked(d->channel);
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
    q->outstanding = 1;
    ares_query(dns_channel_ares(q->home->channel), name, ns_c_in, q->type,
               on_records, q);
    dns_channel_asked(q->home->channel);
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
    free_if_unused(q);
}

struct dns *
dns_new(struct ev_loop *loop, const char *servers, struct error *err)
{
    struct dns_channel *channel = dns_channel_new(loop, servers, err);
    if (channel == NULL)
        return NULL;

    struct dns *d = xcalloc(1, sizeof *d);
    d->loop = loop;
    d->channel = channel;
    d->hosts = dns_hosts_read(HOSTS_FILE);
    list_init(&d->queries);
    return d;
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
    dns_channel_free(d->channel);
    dns_hosts_free(d->hosts);
    free(d);
}
