--- What policies tell Prometheus: counters and gauges. `moongate metrics` shows them all.
local core = require "moongate.core"

return { count = core.metric_count, gauge = core.metric_gauge }
