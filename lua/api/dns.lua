--- `moongate.dns`. The format is explained in auth_http.lua.
return {
  module = "moongate.dns",
  doc = "asks the name servers of the configuration",
  functions = {
    {
      "resolve", doc = "records as text; an empty list if there are none", awaits = true,
      arguments = {
        { "name", "string" },
        { "type", "string", default = "A", doc = "A AAAA CNAME MX NS PTR SRV TXT; MX is "
          .. "\"10 host\", SRV \"priority weight port target\"" },
      },
      options = { { "timeout", "number", default = 5, unit = "seconds" } },
      returns = { { "records", "string[]" } },
      errors = { "timeout", "dns" },
    },
    {
      "reverse_name", doc = "192.0.2.1 gives 1.2.0.192, as block lists are asked",
      arguments = { { "ip", "string" } },
      returns = { { "name", "string" } },
    },
  },
}
