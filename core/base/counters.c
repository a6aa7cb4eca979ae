#include "base/counters.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS  512 /* a power of two */
#define NAME_MAX 512 /* bytes of one of our own, labels and all */

struct counters {
    struct counter *buckets[BUCKETS];
    size_t of_policies;
};

struct counters *
counters_new(void)
{
    return xcalloc(1, sizeof(struct counters));
}

void
counters_free(struct counters *c)
{
    for (size_t i = 0; c != NULL && i < BUCKETS; i++) {
        while (c->buckets[i] != NULL) {
            struct counter *first = c->buckets[i];
            c->buckets[i] = first->next;
            free(first);
        }
    }
    free(c);
}

/* FNV-1a. */
static struct counter **
bucket_of(struct counters *c, struct slice name)
{
    unsigned hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619u;
    return &c->buckets[hash % BUCKETS];
}

static struct counter *
find(struct counter *first, struct slice name, bool is_of_policy)
{
    for (struct counter *one = first; one != NULL; one = one->next) {
        if (one->is_of_policy == is_of_policy &&
            slice_equal(slice_of(one->name), name))
            return one;
    }
    return NULL;
}

static struct counter *
add(struct counter **bucket, struct slice name)
{
    struct counter *one = xcalloc(1, sizeof *one + name.len + 1);

    memcpy(one->name, name.ptr, name.len);
    one->next = *bucket;
    *bucket = one;
    return one;
}

static struct counter *
own(struct counters *c, struct slice name)
{
    struct counter **bucket = bucket_of(c, name);
    struct counter *one = find(*bucket, name, false);

    return one != NULL ? one : add(bucket, name);
}

struct counter *
counters_get(struct counters *c, const char *name)
{
    return own(c, slice_of(name));
}

struct counter *
counters_gauge(struct counters *c, const char *name)
{
    struct counter *one = own(c, slice_of(name));

    one->is_gauge = true;
    return one;
}

void
counters_count(struct counters *c, const char *format, ...)
{
    char name[NAME_MAX];
    va_list list;

    va_start(list, format);
    int len = vsnprintf(name, sizeof name, format, list);
    va_end(list);
    require(len > 0 && (size_t)len < sizeof name);
    own(c, (struct slice){name, (size_t)len})->value++;
}

bool
counters_add(struct counters *c, struct slice name, double amount)
{
    struct counter **bucket = bucket_of(c, name);
    struct counter *one = find(*bucket, name, true);

    if (one == NULL && c->of_policies >= COUNTERS_MAX)
        return false;
    if (one == NULL) {
        one = add(bucket, name);
        one->is_of_policy = true;
        c->of_policies++;
    }
    one->value += amount;
    return true;
}

void
counters_each(const struct counters *c,
              void (*each)(void *arg, const struct counter *counter), void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct counter *one = c->buckets[i]; one != NULL;
             one = one->next)
            each(arg, one);
    }
}
