/* metrics.h -- counters in the text format of Prometheus, version 0.0.4. */
#pragma once

#include "base/buf.h"
#include "base/counters.h"

#define METRIC_NAME_MAX 1024 /* with labels */
#define METRICS_TYPE    "text/plain; version=0.0.4; charset=utf-8"

/* Whether it is name{label="value",...} as it must be. */
bool metric_is_whole(struct slice name);

/* Adds what one worker has measured to what the others have. */
void metric_merge_gauge(struct counters *sum, const struct counter *one);

/* All of them, family by family; false when `out` is full. */
bool metrics_write(const struct counters *sum, struct buf *out) MUST_USE;
