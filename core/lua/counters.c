#include "lua/counters.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/vm.h"

#include <stdlib.h>

bool
counters_add(struct vm *vm, struct slice name, double amount)
{
    for (struct counter *c = vm->counters; c != NULL; c = c->next) {
        if (slice_equal(slice_of(c->name), name)) {
            c->value += amount;
            return true;
        }
    }
    if (vm->counter_count >= COUNTERS_MAX)
        return false;
    struct counter *c = xcalloc(1, sizeof *c);
    c->name = xstrndup(name.ptr, name.len);
    c->value = amount;
    c->next = vm->counters;
    vm->counters = c;
    vm->counter_count++;
    return true;
}

void
counters_free(struct vm *vm)
{
    while (vm->counters != NULL) {
        struct counter *c = vm->counters;
        vm->counters = c->next;
        free(c->name);
        free(c);
    }
    vm->counter_count = 0;
}
