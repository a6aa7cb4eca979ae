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
    {
      "spawn", awaits = false, doc = "Runs a function beside the hook: it begins at once, and goes "
        .. "on while the hook waits. The hook's answer counts when all its children have ended; "
        .. "with the hook they end too. They have its time and its CPU budget. A child that fails "
        .. "without anybody waiting for it fails the hook.",
      arguments = { { "fn", "function", doc = "may wait" },
        { "...", "any", doc = "its arguments" } },
      returns = { { "Child" } },
      fails = { "overload" },
      errors = "raises where nothing can wait, and for the 101st child",
    },
    {
      "detach", doc = "Runs a function that nobody waits for, after the hook's next wait or its "
        .. "end, for up to 30 s. A session among the arguments is a copy that can be read, as "
        .. "`closed` has it; a password is kept with `credentials:retain`. Its errors are logged. "
        .. "It ends with its generation.",
      arguments = { { "fn", "function", doc = "may wait" },
        { "...", "any", doc = "its arguments; no credentials" } },
      returns = { { "boolean", doc = "true" } },
      fails = { "overload" },
      errors = "raises while a file is loaded",
    },
    {
      "memoize", doc = "A function that remembers the results of `fn`, in each worker. While one "
        .. "caller asks, others with the same arguments wait for its result. Arguments are "
        .. "texts, numbers, booleans and Secrets; what is kept of them is a keyed hash. "
        .. "`nil, err` and errors are not kept. A caller who remembers that a password was right "
        .. "also needs a way to forget it: `purge`, or `moongate purge` after a change.",
      arguments = {
        { "fn", "function", doc = "may wait; its first result is plain data as JSON has it, up "
          .. "to 64 KiB: each caller gets a copy" },
        { "options", "table", fields = {
          { "name", "string", max_length = 63, doc = "for `purge`" },
          { "ttl", "number", unit = "seconds", min = 0.001, max = 31536000,
            doc = "how long a result lives" },
          { "negative_ttl", "number", default = 0, unit = "seconds", min = 0, max = 31536000,
            doc = "the same for nil and false" },
          { "capacity", "integer", default = 10000, min = 1, max = 1000000,
            doc = "results; what was used longest ago is forgotten first" },
          { "persist", "boolean", default = false,
            doc = "results outlive a reload, also one that changes `fn`" },
        } },
      },
      returns = { { "Memoized" } },
      errors = "raises for the 101st of a worker",
    },
    {
      "purge", doc = "Has all workers forget results of memoized functions; the other ones a "
        .. "moment later. `moongate purge` does the same.",
      arguments = {
        { "name", "string", doc = "that they were given; no matter whether there are any" },
        { "key", "string", optional = true, max_length = 1024,
          doc = "the first argument of what is forgotten; everything by default" },
      },
      returns = { { "boolean", doc = "true" } },
      fails = { "overload" },
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
      "count", doc = "Adds one to a counter, as `moongate.metrics.count` does; false when there "
        .. "are 1000 counters already.",
      arguments = {
        { "name", "string", max_length = 100, doc = "letters, digits and `_`" },
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
      "Child", variable = "child", doc = "A function that runs beside a hook.",
      methods = {
        {
          "wait", awaits = true, doc = "Waits for its end.",
          returns = { { "any", doc = "all that it returned" } },
          errors = "raises the function's error, and when another than its parent waits",
        },
        { "cancel", doc = "Ends it now.",
          returns = { { "boolean", doc = "whether it still ran" } },
          errors = "raises when another than its parent asks" },
      },
    },
    {
      "Memoized", variable = "memo", doc = "A function that remembers. Called with what `fn` is "
        .. "called with it gives its first result, or `nil, err`.",
      call = {
        awaits = true,
        arguments = { { "...", "string|number|boolean|Secret|nil" } },
        returns = { { "any" } },
        errors = "raises the error of `fn`, and for other arguments",
      },
      methods = {
        { "purge", doc = "Has this worker forget: with one argument all calls that began with "
            .. "it, with more the call that had all of them.",
          arguments = { { "...", "string|number|boolean|Secret|nil" } } },
        { "purge_all", doc = "Has this worker forget everything." },
      },
    },
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
