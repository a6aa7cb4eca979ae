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
      "env", doc = "The first line of an environment variable that is read with the configuration.",
      arguments = { { "name", "string" } },
      returns = { { "Secret?" }, { "string?", doc = "why there is none" } },
    },
    {
      "command", doc = "The first line that a program writes, which is run without a shell, once, "
        .. "where the configuration is evaluated.",
      arguments = { { "words", "table", doc = "the program and its arguments", fields = {
        { "timeout", "number", optional = true, default = 10, unit = "seconds", min = 0.01,
          max = 30 } } } },
      returns = { { "Secret?" }, { "string?", doc = "why there is none" } },
    },
    {
      "of", doc = "A text as a secret.",
      arguments = { { "text", "string" } },
      returns = { { "Secret" } },
    },
  },
}
