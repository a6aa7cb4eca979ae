--- `moongate.json`. The format is explained in README.md.
return {
  name = "moongate.json",
  doc = "JSON, at most 64 levels deep.",
  functions = {
    {
      "encode", doc = "The text of a value.",
      arguments = { { "value", "any" } },
      returns = { { "string" } },
      errors = "raises for what JSON can't hold, such as a Secret",
    },
    {
      "decode", doc = "The value of a text.",
      arguments = {
        { "text", "string", max_length = 8388608 },
        { "options", "table", optional = true, fields = {
          { "null", "boolean", default = false,
            doc = "keep null as `json.null`, which is true in a condition; else it is nil" },
        } },
      },
      returns = { { "any" } },
      fails = { "protocol" },
    },
  },
  values = { { "null", "lightuserdata", doc = "null, for `encode`" } },
}
