/* fuzz_counter_label.c -- whatever the value of a label is, the name with it
 * is whole; and any text as a name. */
#include "base/counters.h"
#include "base/slice.h"
#include "process/metrics.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    char label[COUNTER_LABEL_MAX], name[COUNTER_LABEL_MAX + 32];

    (void)counter_label(text, label);
    require(strlen(label) < sizeof label);
    (void)snprintf(name, sizeof name, "name{label=\"%s\"}", label);
    require(metric_is_whole(slice_of(name)));
    (void)metric_is_whole(text);
    return 0;
}
