--- `moongate.socket`. The format is explained in auth_http.lua.
local errors = { "timeout", "connect", "dns", "closed", "protocol" }

return {
  module = "moongate.socket",
  doc = "connections for protocols that have no module",
  functions = {
    {
      "tcp", doc = "a connection that is not made yet",
      returns = { { "sock", "moongate.Socket" } },
    },
  },
  objects = {
    {
      "moongate.Socket",
      doc = "one operation at a time; closed with the hook that waits on it",
      methods = {
        {
          "connect", awaits = true,
          arguments = {
            { "host", "string", doc = "a name, an address, or \"unix:/path\" without a port" },
            { "port", "integer" },
          },
          returns = { { "ok", "true" } }, errors = errors,
        },
        {
          "send", awaits = true,
          arguments = { { "data", "string|number|Secret|table", doc = "at most 1 MiB" } },
          returns = { { "bytes", "integer" } }, errors = errors,
        },
        {
          "receive", awaits = true, doc = "what came before a failure is the third result",
          arguments = { { "what", "integer|\"*l\"|\"*a\"", default = "*l", unit = "bytes",
            doc = "that many, a line without its end, or all until the peer closes" } },
          returns = { { "data", "string" } }, errors = errors,
        },
        {
          "receiveany", awaits = true,
          arguments = { { "max", "integer", unit = "bytes" } },
          returns = { { "data", "string" } }, errors = errors,
        },
        {
          "receiveuntil", doc = "an iterator that gives what stands before each `mark`",
          arguments = { { "mark", "string", doc = "1 to 256 bytes, no pattern" } },
          returns = { { "next", "function" } },
        },
        { "settimeout", arguments = { { "seconds", "number", default = 5, unit = "seconds" } } },
        {
          "settimeouts",
          arguments = {
            { "connect", "number", unit = "seconds" },
            { "send", "number", unit = "seconds" },
            { "receive", "number", unit = "seconds" },
          },
        },
        { "close", returns = { { "ok", "true" } } },
      },
    },
  },
}
