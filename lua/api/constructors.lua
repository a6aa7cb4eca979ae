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
  },
}
