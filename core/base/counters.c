#include "base/counters.h"

#include "base/check.h"
#include "base/format.h"
#include "base/slice.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MERGED_MAX 40000 /* names that merging makes */
#define BUCKETS    512   /* a power of two */
#define NAME_MAX   1400  /* bytes of one of our own, labels and all */
#define LABEL_MAX  100   /* of the value of a label, as it is */

struct counters {
    struct counter *buckets[BUCKETS];
    size_t of_policies, policies_max;
    size_t count;
};

struct counters *
counters_new(size_t policies_max)
{
    struct counters *c = xcalloc(1, sizeof *c);

    c->policies_max = policies_max;
    return c;
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
add(struct counters *c, struct counter **bucket, struct slice name)
{
    struct counter *one = xcalloc(1, sizeof *one + name.len + 1);

    c->count++;
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

    return one != NULL ? one : add(c, bucket, name);
}

static struct counter *get(struct counters *c, const char *format,
                           va_list arguments)
    __attribute__((format(printf, 2, 0)));

static struct counter *
get(struct counters *c, const char *format, va_list arguments)
{
    char name[NAME_MAX];
    int len = format_text(name, sizeof name, format, arguments);

    require(len > 0 && (size_t)len < sizeof name);
    return own(c, (struct slice){name, (size_t)len});
}

struct counter *
counters_get(struct counters *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    struct counter *one = get(c, format, arguments);
    va_end(arguments);
    return one;
}

struct counter *
counters_gauge(struct counters *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    struct counter *one = get(c, format, arguments);
    va_end(arguments);
    one->is_gauge = true;
    return one;
}

void
counters_count(struct counters *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    get(c, format, arguments)->value++;
    va_end(arguments);
}

/* NULL: there are too many. */
static struct counter *
of_policy(struct counters *c, struct slice name)
{
    struct counter **bucket = bucket_of(c, name);
    struct counter *one = find(*bucket, name, true);

    if (one != NULL || c->of_policies >= c->policies_max)
        return one;
    one = add(c, bucket, name);
    one->is_of_policy = true;
    c->of_policies++;
    return one;
}

bool
counters_add(struct counters *c, struct slice name, double amount)
{
    struct counter *one = of_policy(c, name);

    if (one != NULL)
        one->value += amount;
    return one != NULL;
}

bool
counters_set(struct counters *c, struct slice name, double value)
{
    struct counter *one = of_policy(c, name);

    if (one == NULL)
        return false;
    one->value = value;
    one->is_gauge = true;
    return true;
}

bool
counters_merge(struct counters *c, const struct counter *from)
{
    struct slice name = slice_of(from->name);
    struct counter *one = find(*bucket_of(c, name), name, from->is_of_policy);

    if (one == NULL && c->count >= MERGED_MAX)
        return false;
    one = from->is_of_policy ? of_policy(c, name) : own(c, name);
    if (one == NULL)
        return false;
    one->is_gauge = from->is_gauge;
    one->value += from->value;
    return true;
}

const char *
counter_label(struct slice value, char out[COUNTER_LABEL_MAX])
{
    size_t used = 0;

    for (value = slice_take(value, LABEL_MAX); value.len > 0;) {
        char c = value.ptr[0];
        size_t len = (unsigned char)c < 0x80 ? 1 : utf8_wide(value);
        if (c == '\\' || c == '"' || c == '\n')
            out[used++] = '\\';
        if (c == '\n')
            out[used++] = 'n';
        else if (len == 0 || (unsigned char)c < ' ')
            out[used++] = '?';
        else
            memcpy(out + used, value.ptr, len), used += len;
        value = slice_drop(value, len > 0 ? len : 1);
    }
    out[used] = '\0';
    return out;
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
