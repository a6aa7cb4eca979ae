--- `moongate.secret`. The format is explained in README.md.
return {
  name = "moongate.secret",
  doc = "Texts that can be passed on but not printed.",
  functions = {
    {
      "file", doc = "The first line of a file that is read with the configuration.",
      arguments = { { "path", "string", doc = "absolute, or beside moongate.lua" } },
      returns = { { "Secret?" }, { "string?", doc = "why there is none" } },
    },
    {
      "of", doc = "A text as a secret.",
      arguments = { { "text", "string" } },
      returns = { { "Secret" } },
    },
  },
}
