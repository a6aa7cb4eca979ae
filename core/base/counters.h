/* counters.h -- what a worker counts: name, labels, number.
 *
 * One registry a worker, so that nothing is lost when its configuration is
 * loaded anew.  A name is written as the metrics will show it, labels sorted:
 * hook_errors_total{hook="auth",policy="x"}.  What policies count stands
 * apart from Moongate's own, whatever it is called, and is bounded. */
#pragma once

#include "base/types.h"

#define COUNTERS_MAX      1000 /* names with labels that policies may make */
#define COUNTER_LABEL_MAX 320  /* a label's value as it is written, with NUL */

struct counters;

struct counter {
    struct counter *next; /* for counters.c */
    double value;
    bool is_gauge;     /* may go down */
    bool is_of_policy; /* a policy chose the name */
    char name[];
};

/* Of policies' names it takes `policies_max`. */
struct counters *counters_new(size_t policies_max);
void counters_free(struct counters *c); /* NULL is fine */

/* The counter of that name, made if it is new.  It lives as long as `c`, so
 * who counts often keeps it: from when it first counts, since metrics show all
 * that are made. */
struct counter *counters_get(struct counters *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct counter *counters_gauge(struct counters *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds one to the counter of that name; for what seldom happens. */
void counters_count(struct counters *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What a policy counts.  False if `name` is new and there are too many of
 * policies already. */
bool counters_add(struct counters *c, struct slice name, double amount);
/* The same for one that may go down: sets it. */
bool counters_set(struct counters *c, struct slice name, double value);

/* Whatever it is of: adds what `one` has to the counter of its name; false as
 * above. */
bool counters_merge(struct counters *c, const struct counter *one);

/* The value of a label, for a name: as metrics have it, at most 100 bytes of
 * it.  What is no UTF-8, and control characters, become "?". */
const char *counter_label(struct slice value, char out[COUNTER_LABEL_MAX]);

/* Calls `each` for all, in no order. */
void counters_each(const struct counters *c,
                   void (*each)(void *arg, const struct counter *counter),
                   void *arg);
