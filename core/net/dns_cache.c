#include "net/dns_cache.h"

#include "base/check.h"
#include "base/list.h"
#include "base/slice.h"

#include <stdlib.h>

#define BUCKETS    1024
#define SHARE_MOST 16 /* of the bytes, for one answer */

/* Then follow the bytes of the name and of the records. */
struct entry {
    struct list same;  /* of its bucket */
    struct list order; /* of all: the one not found for longest is first */
    struct dns_key key;
    double since, until;
    size_t size, turn;
    size_t count;
    struct slice records[];
};

struct dns_cache {
    struct list buckets[BUCKETS];
    struct list order;
    size_t count, bytes;
    size_t count_max, bytes_max;
};

bool
dns_key_equal(struct dns_key a, struct dns_key b)
{
    return a.type == b.type && slice_equal_nocase(a.name, b.name);
}

/* FNV-1a */
uint32_t
dns_key_hash(struct dns_key key)
{
    uint32_t hash = 2166136261U ^ (uint32_t)key.type;

    for (size_t i = 0; i < key.name.len; i++)
        hash = (hash ^ (unsigned char)ascii_lower(key.name.ptr[i])) * 16777619U;
    return hash;
}

static struct list *
bucket_of(struct dns_cache *c, struct dns_key key)
{
    return &c->buckets[dns_key_hash(key) % BUCKETS];
}

static void
take_out(struct dns_cache *c, struct entry *e)
{
    list_remove(&e->same);
    list_remove(&e->order);
    c->count--;
    c->bytes -= e->size;
}

static void
drop(struct dns_cache *c, struct entry *e)
{
    take_out(c, e);
    free(e);
}

static void
free_all(struct list *order)
{
    for (struct list *l = order->next, *next; l != order; l = next) {
        next = l->next;
        free(container_of(l, struct entry, order));
    }
}

static struct entry *
find(struct dns_cache *c, struct dns_key key)
{
    struct list *bucket = bucket_of(c, key);

    for (struct list *l = bucket->next; l != bucket; l = l->next) {
        struct entry *e = container_of(l, struct entry, same);
        if (dns_key_equal(e->key, key))
            return e;
    }
    return NULL;
}

static size_t
size_of(struct slice name, const struct dns_answer *a)
{
    size_t size = sizeof(struct entry) + a->count * sizeof *a->records;

    for (size_t i = 0; i < a->count; i++)
        size += a->records[i].len;
    return size + name.len;
}

/* Copies `from` to `*at`, which moves on. */
static struct slice
place(char **at, struct slice from)
{
    struct slice copy = {*at, from.len};

    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return copy;
}

static struct entry *
entry_new(size_t size, struct dns_key key, const struct dns_answer *a)
{
    struct entry *e = xmalloc(size);
    char *at = (char *)&e->records[a->count];

    *e = (struct entry){.size = size,
                        .key.type = key.type,
                        .until = a->until,
                        .turn = a->turn,
                        .count = a->count};
    e->key.name = place(&at, key.name);
    for (size_t i = 0; i < a->count; i++)
        e->records[i] = place(&at, a->records[i]);
    return e;
}

static void
make_room(struct dns_cache *c, size_t size)
{
    struct list gone;

    list_init(&gone);
    while (c->count > 0 &&
           (c->count >= c->count_max || c->bytes + size > c->bytes_max)) {
        struct list *first = c->order.next;
        take_out(c, container_of(first, struct entry, order));
        list_append(&gone, first);
    }
    free_all(&gone);
}

void
dns_cache_keep(struct dns_cache *c, struct dns_key key, double now,
               const struct dns_answer *answer)
{
    size_t size = size_of(key.name, answer);
    struct entry *old = find(c, key);

    if (old != NULL)
        drop(c, old);
    if (answer->until <= now || size > c->bytes_max / SHARE_MOST)
        return;
    make_room(c, size);
    struct entry *e = entry_new(size, key, answer);
    e->since = now;
    list_append(bucket_of(c, key), &e->same);
    list_append(&c->order, &e->order);
    c->count++;
    c->bytes += size;
}

bool
dns_cache_find(struct dns_cache *c, struct dns_key key, double now,
               struct dns_answer *answer)
{
    struct entry *e = find(c, key);

    if (e == NULL)
        return false;
    if (now < e->since || now >= e->until) {
        drop(c, e);
        return false;
    }
    list_remove(&e->order);
    list_append(&c->order, &e->order);
    *answer = (struct dns_answer){e->records, e->count, e->turn++, e->until};
    return true;
}

static void
set_empty(struct dns_cache *c)
{
    c->count = c->bytes = 0;
    list_init(&c->order);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&c->buckets[i]);
}

void
dns_cache_clear(struct dns_cache *c)
{
    free_all(&c->order);
    set_empty(c);
}

size_t
dns_cache_count(const struct dns_cache *c)
{
    return c->count;
}

size_t
dns_cache_bytes(const struct dns_cache *c)
{
    return c->bytes;
}

struct dns_cache *
dns_cache_new(size_t entries_max, size_t bytes_max)
{
    struct dns_cache *c = xcalloc(1, sizeof *c);

    c->count_max = entries_max;
    c->bytes_max = bytes_max;
    set_empty(c);
    return c;
}

void
dns_cache_free(struct dns_cache *c)
{
    if (c == NULL)
        return;
    dns_cache_clear(c);
    free(c);
}
