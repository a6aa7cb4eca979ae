--- `moongate.dns`. The format is explained in README.md.
return {
  name = "moongate.dns",
  doc = "Asks the name servers of the configuration.",
  functions = {
    {
      "resolve", awaits = true, doc = "Records as text; an empty list if there are none. What was "
        .. "found is kept as the configuration's `resolver` has it.",
      arguments = {
        { "name", "string", max_length = 253 },
        { "type", "string", default = "A",
          values = { "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT" },
          doc = "MX is \"10 host\", SRV \"priority weight port target\"" },
        { "options", "table", optional = true, fields = {
          { "timeout", "number", default = 5, unit = "seconds", min = 0.001, max = 60 },
        } },
      },
      returns = { { "string[]" } },
      fails = { "timeout", "dns" },
    },
    {
      "reverse_name", doc = "192.0.2.1 gives 1.2.0.192, as block lists are asked.",
      arguments = { { "ip", "string" } },
      returns = { { "string" } },
      errors = "raises when it is no IP address",
    },
  },
}
