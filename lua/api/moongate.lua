--- `moongate`, what every policy requires. The decisions are in decisions.lua; the format is
-- explained in README.md.
return {
  name = "moongate",
  doc = "What every policy requires: the decisions, and the gateway around the policy.",
  decisions = true,
  functions = {
    {
      "settings", doc = "The part of the configuration under `settings` that has this name, "
        .. "checked and read-only. `pairs` and `ipairs` walk it, `#` does not.",
      arguments = {
        { "name", "string" },
        { "schema", "table", optional = true, doc = "{ values = type } for a table with any names, "
          .. "or { key = type, other = { type, default = ... } }. Types: string, text, boolean, "
          .. "number, integer, duration, size, address, secret, data, enum (with `values`), list "
          .. "and map (with `of`). `required = true` makes a key mandatory" },
      },
      returns = { { "table" } },
      errors = "raises every mistake with its line in moongate.lua",
    },
    {
      "sleep", awaits = true, doc = "Lets time pass.",
      arguments = { { "seconds", "number", unit = "seconds", min = 0, max = 3600 } },
      errors = "raises where nothing can wait: while a file is loaded, in `mechanisms`",
    },
    { "now", doc = "A clock that never jumps, for measuring.",
      returns = { { "number", doc = "seconds" } } },
    { "time", doc = "The time of day.", returns = { { "number", doc = "seconds since 1970" } } },
    {
      "log", doc = "Writes a line to the log.",
      arguments = {
        { "level", "string", values = { "error", "warn", "info", "debug" } },
        { "message", "string|number|boolean|Failure", max_length = 2000 },
        { "fields", "table<string, string|number|boolean|Failure>", optional = true,
          doc = "logged as name=\"value\"" },
      },
      errors = "raises for a Secret and for what has no text",
    },
    {
      "count", doc = "Adds one to a counter; false when there are 1000 counters already.",
      arguments = {
        { "name", "string" },
        { "labels", "table<string, string|number|boolean>", optional = true,
          doc = "at most 8; a value is cut at 100 bytes" },
      },
      returns = { { "boolean" } },
      errors = "raises for a Secret",
    },
    {
      "upstream", doc = "What this worker knows of an upstream, in whatever pools it is.",
      arguments = {
        { "address", "string", doc = "as upstreams are written; without a port, at any port" },
      },
      returns = { { "UpstreamHealth", doc = "it may be kept: its methods tell of the moment" } },
      errors = "raises when `address` is none",
    },
    {
      "pool", doc = "One of the configuration's `pools`.",
      arguments = { { "name", "string" } },
      returns = { { "Pool" } },
      errors = "raises when there is no such pool",
    },
  },
  classes = {
    {
      "UpstreamHealth", variable = "health",
      doc = "How an upstream is. Its text is its address.",
      methods = {
        {
          "healthy", doc = "Whether a login may go there: not while it is out of service, nor "
            .. "while one login tries it.",
          returns = { { "boolean", doc = "true also for what nobody has tried" } },
        },
        { "sessions", doc = "How many sessions of this worker are there.",
          returns = { { "integer" } } },
        { "failures", doc = "How often it failed in a row.", returns = { { "integer" } } },
        { "address", doc = "As it was written.", returns = { { "string" } } },
      },
    },
    {
      "Pool", variable = "pool", doc = "Upstreams that stand in for each other. Its text is "
        .. "\"pool:NAME\".",
      methods = {
        { "members", doc = "As the pool knows them, in the order of the configuration.",
          returns = { { "UpstreamHealth[]" } } },
      },
    },
  },
  values = {
    { "secret", "moongate.secret", link = "moongate.secret",
      doc = "the module of that name" },
    { "config", "table", doc = "the whole configuration, read-only; nil under `moongate lua`" },
  },
}
