--- `moongate.socket`. The format is explained in README.md.
local partial = { "string?", doc = "what came before it failed" }
local fails = { "timeout", "connect", "dns", "closed", "protocol" }

return {
  name = "moongate.socket",
  doc = "Connections for protocols that have no module.",
  functions = {
    { "tcp", doc = "A connection that is not made yet.", returns = { { "Socket" } } },
  },
  classes = {
    {
      "Socket", variable = "sock",
      doc = "One operation at a time, but `send` may be called while another function waits in a "
        .. "`receive`; closed with the hook that waits on it.",
      methods = {
        {
          "connect", awaits = true, doc = "Connects.",
          arguments = {
            { "host", "string", max_length = 253,
              doc = "a name, an address, or \"unix:/path\" without a port" },
            { "port", "integer", optional = true, min = 1, max = 65535 },
          },
          returns = { { "true" } }, fails = fails,
        },
        {
          "send", awaits = true, doc = "Sends everything; how many bytes.",
          arguments = { { "data", "string|number|Secret|table",
            doc = "a table is a list of these; at most 1 MiB" } },
          returns = { { "integer" } }, fails = fails,
        },
        {
          "receive", awaits = true, doc = "Receives.",
          arguments = { { "what", "integer|\"*l\"|\"*a\"", default = "*l",
            doc = "so many bytes (up to 1 MiB), a line without its end, or all until the peer "
              .. "closes" } },
          returns = { { "string" } }, fails = fails, partial = partial,
        },
        {
          "receiveany", awaits = true, doc = "Receives what comes first.",
          arguments = { { "max", "integer", unit = "bytes", min = 1, max = 1048576 } },
          returns = { { "string" } }, fails = fails, partial = partial,
        },
        {
          "receiveuntil", doc = "A function that gives what stands before each `mark`; it waits.",
          arguments = { { "mark", "string", max_length = 256, doc = "no pattern" } },
          returns = { { "fun(): string?, Failure?" } },
        },
        {
          "settimeout", doc = "For all that follows.",
          arguments = { { "seconds", "number", unit = "seconds", max = 3600,
            doc = "at first 5" } },
        },
        {
          "settimeouts", doc = "One for each operation.",
          arguments = {
            { "connect", "number", unit = "seconds", max = 3600 },
            { "send", "number", unit = "seconds", max = 3600 },
            { "receive", "number", unit = "seconds", max = 3600 },
          },
        },
        { "close", doc = "Closes the connection.", returns = { { "true" } } },
      },
    },
  },
}
