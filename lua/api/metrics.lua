--- `moongate.metrics`. The format is explained in README.md.
local NAME = { "name", "string", max_length = 100, doc = "letters, digits and `_`" }
local LABELS = { "labels", "table<string, string|number|boolean>", optional = true,
  doc = "at most 8; a value is cut at 100 bytes. Choose few values: each combination is one more" }
local TOLD = { "boolean", doc = "false: there are 1000 names with labels already" }

return {
  name = "moongate.metrics",
  doc = "What policies tell Prometheus, which reads it at `GET /v1/metrics` of the control socket "
    .. "(`moongate metrics` shows it). All workers are summed up. It survives reloads; what a "
    .. "worker that died had counted since it was last asked is lost.",
  functions = {
    { "count", doc = "Adds to a counter: `moongate_policy_NAME_total`.",
      arguments = { NAME, { "amount", "number", default = 1, min = 0 }, LABELS },
      returns = { TOLD }, errors = "raises for a Secret" },
    { "gauge", doc = "Sets what may also go down: `moongate_policy_NAME`.",
      arguments = { NAME, { "value", "number" }, LABELS },
      returns = { TOLD }, errors = "raises for a Secret, and for a name that ends with `_total`" },
  },
}
