--- `moongate.json`. The format is explained in auth_http.lua.
return {
  module = "moongate.json",
  doc = "JSON; at most 64 levels deep",
  functions = {
    {
      "encode", doc = "raises for what JSON can't hold, such as a Secret",
      arguments = { { "value", "any" } },
      returns = { { "text", "string" } },
    },
    {
      "decode",
      arguments = { { "text", "string", doc = "at most 8 MiB" } },
      options = { { "null", "boolean", default = false,
        doc = "keep null as json.null, which is true in a condition; else it is nil" } },
      returns = { { "value", "any" } },
      errors = { "protocol" },
    },
  },
  values = { { "null", "userdata", doc = "null, for encode" } },
}
