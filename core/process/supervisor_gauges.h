/* supervisor_gauges.h -- the part of the metrics that the supervisor knows. */
#pragma once

#include "base/counters.h"

#include <cjson/cJSON.h>

/* `status` is what it answers to ORDER_STATUS. */
void supervisor_gauges_read(struct counters *into, const cJSON *status);
