#include "process/tally.h"

#include "base/check.h"
#include "base/slice.h"
#include "process/metrics.h"

#include <math.h>
#include <stdlib.h>

#define ROWS_MAX 20000 /* of one worker */
#define STARTED  "worker_started_seconds"

struct tally_part {
    struct counters *counters;
    size_t rows;
    double started; /* when its worker was; 0: it has not said */
};

/* What is known of one slot. */
struct slot_tally {
    struct tally_part *last; /* or NULL */
    uint64_t id;             /* of the question that was the answer to */
    bool gone;
};

struct tally {
    struct counters *before; /* of workers that were */
    struct slot_tally *slots;
    unsigned slot_count;
};

struct tally *
tally_new(unsigned slot_count)
{
    struct tally *t = xcalloc(1, sizeof *t);

    t->before = counters_new(ROWS_MAX);
    t->slots = xcalloc(slot_count + 1, sizeof *t->slots);
    t->slot_count = slot_count;
    return t;
}

void
tally_free(struct tally *t)
{
    for (unsigned i = 0; i < t->slot_count; i++)
        tally_part_free(t->slots[i].last);
    counters_free(t->before);
    free(t->slots);
    free(t);
}

struct tally_part *
tally_part_new(void)
{
    struct tally_part *p = xcalloc(1, sizeof *p);

    p->counters = counters_new(ROWS_MAX);
    return p;
}

void
tally_part_free(struct tally_part *p)
{
    if (p == NULL)
        return;
    counters_free(p->counters);
    free(p);
}

bool
tally_part_add(struct tally_part *p, const struct counter_row *row)
{
    int len = (int)row->name.len;

    if (++p->rows > ROWS_MAX || row->name.len > METRIC_NAME_MAX ||
        !metric_is_whole(row->name) || !isfinite(row->value))
        return false;
    if (!row->is_of_policy && slice_has_prefix(row->name, S(STARTED)))
        p->started = row->value;
    if (row->is_of_policy && row->is_gauge)
        return counters_set(p->counters, row->name, row->value);
    if (row->is_of_policy)
        return counters_add(p->counters, row->name, row->value);
    struct counter *one =
        row->is_gauge ? counters_gauge(p->counters, "%.*s", len, row->name.ptr)
                      : counters_get(p->counters, "%.*s", len, row->name.ptr);
    one->value = row->value;
    return true;
}

static void
add_count(void *arg, const struct counter *counter)
{
    if (!counter->is_gauge)
        (void)counters_merge(arg, counter);
}

static void
add_gauge(void *arg, const struct counter *counter)
{
    if (counter->is_gauge)
        metric_merge_gauge(arg, counter);
}

void
tally_take(struct tally *t, unsigned slot, uint64_t id, struct tally_part *p)
{
    struct slot_tally *s = &t->slots[slot - 1];

    if (s->last != NULL && id < s->id) {
        tally_part_free(p);
        return;
    }
    if (s->last != NULL && s->last->started != p->started)
        counters_each(s->last->counters, add_count, t->before);
    tally_part_free(s->last);
    s->last = p;
    s->id = id;
    s->gone = false;
}

void
tally_lost(struct tally *t, unsigned slot)
{
    t->slots[slot - 1].gone = true;
}

struct counters *
tally_sum(const struct tally *t)
{
    struct counters *sum = counters_new(ROWS_MAX);

    counters_each(t->before, add_count, sum);
    for (unsigned i = 0; i < t->slot_count; i++) {
        const struct slot_tally *s = &t->slots[i];
        if (s->last == NULL)
            continue;
        counters_each(s->last->counters, add_count, sum);
        if (!s->gone)
            counters_each(s->last->counters, add_gauge, sum);
    }
    return sum;
}
