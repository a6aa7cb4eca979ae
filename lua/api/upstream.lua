--- What `moongate` tells of upstreams and pools.
return {
  name = "moongate", doc = "What this worker knows of the upstreams that its sessions go to.",
  functions = {
    {
      "upstream", doc = "What is known of an upstream, of all pools that it is in together.",
      awaits = false, since = "0.1",
      arguments = {
        { "address", "string", doc = "as upstreams are written; without a port, at any port" },
      },
      returns = { { "Upstream", doc = "it may be kept: its methods tell of the moment" } },
      errors = "raises when `address` is none",
    },
    {
      "pool", doc = "One of the configuration's `pools`.", awaits = false, since = "0.1",
      arguments = { { "name", "string" } },
      returns = { { "Pool" } },
      errors = "raises when there is no such pool",
    },
  },
  classes = {
    {
      "Upstream", doc = "An upstream. Its text is its address.", fields = {},
      methods = {
        { "healthy", doc = "Whether a login may go there: not while it is out of service, nor "
            .. "while one login tries it.", awaits = false, since = "0.1", arguments = {},
          returns = { { "boolean", doc = "true also for what nobody has tried" } } },
        { "sessions", doc = "How many sessions of this worker are there.", awaits = false,
          since = "0.1", arguments = {}, returns = { { "integer" } } },
        { "failures", doc = "How often it failed in a row.", awaits = false, since = "0.1",
          arguments = {}, returns = { { "integer" } } },
        { "address", doc = "As it was written.", awaits = false, since = "0.1", arguments = {},
          returns = { { "string" } } },
      },
    },
    {
      "Pool", doc = "A pool. Its text is \"pool:NAME\".", fields = {},
      methods = {
        { "members", doc = "Its members, as the pool knows them, in the order of the "
            .. "configuration.", awaits = false, since = "0.1", arguments = {},
          returns = { { "Upstream[]" } } },
      },
    },
  },
}
