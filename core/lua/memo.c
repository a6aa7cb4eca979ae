#include "lua/memo.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/list.h"
#include "base/slice.h"
#include "lua/lasting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_MIN 64

struct entry {
    struct list by_all, by_first; /* in a bucket each */
    struct list used;             /* in memo->used */
    struct memo_key key;
    double expires;
    size_t len;
    char text[];
};

struct memo {
    struct list link; /* in lasting->memos */
    struct lasting *home;
    char name[MEMO_NAME_MAX + 1];
    bool persists;
    unsigned users;
    size_t capacity, count, room;
    unsigned long purges;
    struct list used; /* longest ago first */
    size_t buckets;   /* a power of two */
    struct list *by_all, *by_first;
};

/* --- digests --- */

void
memo_digest(struct slice bytes, char hex[64])
{
    static char key[32];
    static bool made;

    if (!made)
        require(getrandom(key, sizeof key, 0) == (ssize_t)sizeof key);
    made = true;
    digest_hmac_sha256((struct slice){key, sizeof key}, bytes, hex);
}

void
memo_digest_text(struct slice key, char first[64])
{
    size_t room = key.len + 32;
    char *text = xmalloc(room);
    int head = snprintf(text, room, "s%zu:", key.len);

    memcpy(text + head, key.ptr, key.len);
    memo_digest((struct slice){text, (size_t)head + key.len}, first);
    free(text);
}

static bool
is_same(const char a[64], const char b[64])
{
    return memcmp(a, b, 64) == 0;
}

static struct list *
bucket_of(const struct memo *m, struct list *buckets, const char hex[64])
{
    size_t number = 0;

    for (size_t i = 0; i < 8; i++) {
        char c = hex[i];
        number = number * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return &buckets[number & (m->buckets - 1)];
}

/* --- entries --- */

static void
entry_free(struct memo *m, struct entry *e)
{
    list_remove(&e->by_all);
    list_remove(&e->by_first);
    list_remove(&e->used);
    m->count--;
    m->room -= e->len;
    explicit_bzero(e->text, e->len);
    free(e);
}

static struct entry *
find(const struct memo *m, const struct memo_key *key)
{
    struct list *head = bucket_of(m, m->by_all, key->all);

    for (struct list *l = head->next; l != head; l = l->next) {
        struct entry *e = container_of(l, struct entry, by_all);
        if (is_same(e->key.all, key->all))
            return e;
    }
    return NULL;
}

static struct list *
buckets_new(size_t count)
{
    struct list *all = xcalloc(count, sizeof *all);

    for (size_t i = 0; i < count; i++)
        list_init(&all[i]);
    return all;
}

/* --- life --- */

static struct memo *
memo_new(struct lasting *l, struct slice name)
{
    struct memo *m = xcalloc(1, sizeof *m);

    m->home = l;
    memcpy(m->name, name.ptr, name.len);
    list_init(&m->used);
    list_append(&l->memos, &m->link);
    return m;
}

static struct memo *
memo_of(struct list *link)
{
    return container_of(link, struct memo, link);
}

static struct memo *
find_lasting(struct lasting *l, struct slice name, size_t *count)
{
    struct memo *found = NULL;

    for (struct list *i = l->memos.next; i != &l->memos; i = i->next) {
        struct memo *m = memo_of(i);
        ++*count;
        if (m->persists && slice_equal(slice_of(m->name), name))
            found = m;
    }
    return found;
}

static void
make_room(struct memo *m, size_t len)
{
    struct list *l = m->used.next, *next;

    for (; l != &m->used; l = next) {
        next = l->next;
        if (m->count < m->capacity && m->room + len <= MEMO_ROOM)
            break;
        entry_free(m, container_of(l, struct entry, used));
    }
}

/* A store that grew between two generations has longer chains, no more. */
struct memo *
memo_open(struct lasting *l, struct slice name, size_t capacity, bool persists)
{
    size_t count = 0;
    struct memo *m = find_lasting(l, name, &count);

    require(name.len > 0 && name.len <= MEMO_NAME_MAX && capacity > 0);
    if (m == NULL || !persists) {
        if (count >= MEMOS_MAX)
            return NULL;
        m = memo_new(l, name);
        m->persists = persists;
        m->buckets = BUCKETS_MIN;
        while (m->buckets < capacity)
            m->buckets *= 2;
        m->by_all = buckets_new(m->buckets);
        m->by_first = buckets_new(m->buckets);
    }
    m->capacity = capacity;
    m->users++;
    return m;
}

static void
memo_free(struct memo *m)
{
    memo_purge_all(m);
    list_remove(&m->link);
    free(m->by_all);
    free(m->by_first);
    free(m);
}

void
memo_close(struct memo *m)
{
    m->users--;
    if (!m->persists && m->users == 0)
        memo_free(m);
}

void
memos_free(struct lasting *l)
{
    for (struct list *i = l->memos.next, *next; i != &l->memos; i = next) {
        next = i->next;
        memo_free(memo_of(i));
    }
}

/* --- use --- */

struct slice
memo_get(struct memo *m, const struct memo_key *key, double now)
{
    struct entry *e = find(m, key);

    if (e == NULL)
        return (struct slice){0};
    if (e->expires <= now) {
        entry_free(m, e);
        return (struct slice){0};
    }
    list_remove(&e->used);
    list_append(&m->used, &e->used);
    return (struct slice){e->text, e->len};
}

void
memo_put(struct memo *m, const struct memo_key *key, struct slice text,
         double expires)
{
    memo_purge_call(m, key);
    if (text.len > MEMO_TEXT_MAX)
        return;
    make_room(m, text.len);
    struct entry *e = xmalloc(sizeof *e + text.len);
    *e = (struct entry){.key = *key, .expires = expires, .len = text.len};
    memcpy(e->text, text.ptr, text.len);
    list_append(bucket_of(m, m->by_all, key->all), &e->by_all);
    list_append(bucket_of(m, m->by_first, key->first), &e->by_first);
    list_append(&m->used, &e->used);
    m->count++;
    m->room += text.len;
}

unsigned long
memo_purges(const struct memo *m)
{
    return m->purges;
}

void
memo_purge_call(struct memo *m, const struct memo_key *key)
{
    struct entry *e = find(m, key);

    if (e != NULL)
        entry_free(m, e);
}

void
memo_purge_first(struct memo *m, const char first[64])
{
    struct list *head = bucket_of(m, m->by_first, first), *next;

    m->purges++;
    for (struct list *l = head->next; l != head; l = next) {
        struct entry *e = container_of(l, struct entry, by_first);
        next = l->next;
        if (is_same(e->key.first, first))
            entry_free(m, e);
    }
}

void
memo_purge_all(struct memo *m)
{
    m->purges++;
    for (struct list *l = m->used.next, *next; l != &m->used; l = next) {
        next = l->next;
        entry_free(m, container_of(l, struct entry, used));
    }
}

void
memos_purge(struct lasting *l, struct slice name, struct slice key)
{
    char first[64];

    if (key.ptr != NULL)
        memo_digest_text(key, first);
    for (struct list *i = l->memos.next; i != &l->memos; i = i->next) {
        struct memo *m = memo_of(i);
        if (!slice_equal(slice_of(m->name), name))
            continue;
        if (key.ptr != NULL)
            memo_purge_first(m, first);
        else
            memo_purge_all(m);
    }
}
