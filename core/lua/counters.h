/* counters.h -- what policies count: name, labels, number. */
#pragma once

#include "base/types.h"

#define COUNTERS_MAX 1000 /* distinct names with labels, of one state */

struct vm;

struct counter {
    struct counter *next;
    double value;
    char *name; /* name{label="value",...}: labels sorted by name */
};

/* False if `name` is new and there are COUNTERS_MAX already. */
bool counters_add(struct vm *vm, struct slice name, double amount);
void counters_free(struct vm *vm);
