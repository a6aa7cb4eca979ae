--- `moongate.shared`. The format is explained in README.md.
local KEY = { "key", "string", doc = "1 to 8192 bytes" }
local VALUE = { "value", "string|number|boolean",
  doc = "of a text up to 64 KiB, and no more than a 64th of the table" }
local TTL = { "ttl", "number", optional = true, unit = "seconds", min = 0.001, max = 1000000000,
  doc = "how long it lives; forever by default" }
local SESSION = { "session", "Session" }

--- A call that waits if the table is in Redis, and what may go wrong with it.
local IN_REDIS = "if the table is in Redis"
local FAILS = { "overload", "protocol", "timeout", "connect", "tls", "dns", "closed", "server" }

return {
  name = "moongate.shared",
  doc = "Tables of small values: the entries of `shared` in the configuration. All workers of a "
    .. "machine share one that is in memory; what is in it survives reloads and the end of a "
    .. "worker, but not that of the gateway, and it is never full: values that are over go first, "
    .. "then those that are over soonest, then those that were written longest ago. All gateways "
    .. "that name it share one that is in Redis: the same calls then wait, and fail as those of "
    .. "`moongate.redis` do. In `moongate lua` and `moongate test` a table is the process's own, "
    .. "wherever it is.",
  functions = {
    {
      "get", doc = "The table of this name.",
      arguments = { { "name", "string", doc = "as in the configuration" } },
      returns = { { "SharedDict" } },
      errors = "raises when the configuration has no such table",
    },
  },
  classes = {
    {
      "SharedDict", variable = "dict",
      doc = "A table that is shared. Each call is done as a whole or not at all. "
        .. "Secrets are not kept.",
      methods = {
        { "get", awaits = IN_REDIS, doc = "The value, or nil where there is none.",
          arguments = { KEY },
          returns = { { "string|number|boolean" } },
          fails = FAILS },
        { "set", awaits = IN_REDIS, doc = "Keeps a value.",
          arguments = { KEY, VALUE, TTL },
          returns = { { "boolean", doc = "true" } },
          fails = FAILS },
        { "add", awaits = IN_REDIS, doc = "Keeps a value if there is none.",
          arguments = { KEY, VALUE, TTL },
          returns = { { "boolean", doc = "whether there was none" } },
          fails = FAILS },
        { "incr", awaits = IN_REDIS, doc = "Adds to a number. Where there is none it begins "
            .. "with `init`, and `ttl` counts from then on.",
          arguments = { KEY,
            { "by", "number", default = 1 }, { "init", "number", default = 0 }, TTL },
          returns = { { "number", doc = "the sum" } },
          fails = FAILS },
        { "delete", awaits = IN_REDIS, doc = "Removes a value.",
          arguments = { KEY },
          returns = { { "boolean", doc = "whether there was one" } },
          fails = FAILS },
        { "ttl", awaits = IN_REDIS, doc = "How long a value still lives; nil where there is none.",
          arguments = { KEY },
          returns = { { "number", doc = "seconds; `math.huge`: forever" } },
          fails = FAILS },
        { "take", awaits = IN_REDIS, doc = "Takes a token from a bucket, which is full "
            .. "at first and gets new ones at an even rate; `moongate.limit` has this with more "
            .. "ease.",
          arguments = { KEY,
            { "rate", "number", min = 0.000001, max = 1000000, doc = "new tokens a second" },
            { "burst", "integer", default = 1, min = 1, max = 1000000,
              doc = "how many it holds" } },
          returns = { { "boolean", doc = "whether there was one" },
            { "number", doc = "if not, seconds until there is" } },
          fails = FAILS },
        { "lease", awaits = IN_REDIS, doc = "Takes one of `limit` places, which the session "
            .. "holds until it ends, however that is: a place comes back too when the worker dies; "
            .. "in Redis within 8 seconds, and when the gateway dies as well. While Redis is away "
            .. "nobody gets one; when it is back, or has lost what it knew, sessions that go on "
            .. "are counted again. A session holds a key once. Places are counted apart from "
            .. "values.",
          arguments = { KEY,
            { "limit", "integer", min = 0, max = 1000000000,
              doc = "how many may be held by all sessions together" }, SESSION },
          returns = { { "boolean", doc = "whether the session holds one" } },
          fails = FAILS,
          errors = "raises in `spliced` and `closed`" },
        { "give_back", doc = "Gives a place back before the session ends; never waits.",
          arguments = { KEY, SESSION },
          returns = { { "boolean", doc = "whether the session held one" } },
          errors = "raises in `spliced` and `closed`" },
        { "leased", awaits = IN_REDIS, doc = "How many places are held.",
          arguments = { KEY },
          returns = { { "integer" } },
          fails = FAILS },
      },
    },
  },
}
