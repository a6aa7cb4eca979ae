--- `moongate.config`, what moongate.lua requires. Its keys are in config.lua.
return {
  name = "moongate.config",
  doc = "The constructors of `moongate.lua`; the one module that a configuration may require, "
    .. "besides files that lie beside it.",
  configuration = true,
  functions = {
    {
      "gateway", doc = "The whole configuration, which the file returns.",
      arguments = { { "options", "GatewayOptions",
        doc = "the keys, and any number of `c.listen`" } },
      returns = { { "table" } },
    },
    {
      "listen", doc = "One listener: `c.listen \"name\" { ... }`.",
      arguments = { { "name", "string", doc = "letters, digits, _ and -" } },
      returns = { { "fun(options: ListenOptions): table" } },
      errors = "raises when the name is none",
    },
    {
      "secret.file", doc = "The first line of a file, as a secret that no policy can print.",
      arguments = { { "path", "string", doc = "absolute, or beside moongate.lua" } },
      returns = { { "Secret" } },
    },
    {
      "with_policies", doc = "For specs: the same gateway, whose listeners ask other policies.",
      arguments = { { "gateway", "table" }, { "names", "string[]" } },
      returns = { { "table" } },
    },
    {
      "secret.env", doc = "The first line of an environment variable, as such a secret.",
      arguments = { { "name", "string" } },
      returns = { { "Secret" } },
    },
    {
      "secret.command", doc = "The first line that a program writes, as such a secret: "
        .. "`c.secret.command { \"pass\", \"show\", \"imap\" }`. Without a shell, and once, where "
        .. "the configuration is evaluated.",
      arguments = { { "words", "table", doc = "the program and its arguments", fields = {
        { "timeout", "number", optional = true, default = 10, unit = "seconds", min = 0.01,
          max = 30 } } } },
      returns = { { "Secret" } },
    },
    {
      "merge", doc = "One table laid over another, as the file of an environment is laid over "
        .. "`moongate.lua`: maps are merged, all else replaces.",
      arguments = { { "base", "table" },
        { "over", "table", doc = "has only keys that `base` has, but for `c.new`" } },
      returns = { { "table" } },
    },
    {
      "new", doc = "In what is laid over a table: a value for a key that is not there, or a map "
        .. "that replaces another whole.",
      arguments = { { "value", "any" } },
      returns = { { "any" } },
    },
  },
}
