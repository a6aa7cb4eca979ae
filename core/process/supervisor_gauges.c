#include "process/supervisor_gauges.h"

#include <string.h>

static double
number(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(object, name);

    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static void
read_worker(struct counters *into, const cJSON *worker)
{
    static const char *const states[] = {"ready", "starting", "silent", "down"};
    const cJSON *is = cJSON_GetObjectItem(worker, "state");

    counters_get(into, "worker_restarts_total{worker=\"%d\"}",
                 (int)number(worker, "slot"))
        ->value = number(worker, "restarts");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        counters_gauge(into, "workers{state=\"%s\"}", states[i])->value +=
            cJSON_IsString(is) && strcmp(is->valuestring, states[i]) == 0;
}

void
supervisor_gauges_read(struct counters *into, const cJSON *status)
{
    const cJSON *reloads = cJSON_GetObjectItem(status, "reloads");
    const cJSON *worker;

    counters_gauge(into, "generation")->value = number(status, "generation");
    counters_gauge(into, "started_seconds")->value = number(status, "started");
    counters_get(into, "reloads_total{outcome=\"done\"}")->value =
        number(reloads, "done");
    counters_get(into, "reloads_total{outcome=\"refused\"}")->value =
        number(reloads, "refused");
    counters_get(into, "log_lines_dropped_total")->value +=
        number(status, "log_dropped");
    cJSON_ArrayForEach(worker, cJSON_GetObjectItem(status, "workers"))
    {
        read_worker(into, worker);
    }
}
