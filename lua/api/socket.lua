--- `moongate.socket`. The format is explained in README.md.
local partial = { "string?", doc = "what came before it failed" }
local connect_fails = { "timeout", "connect", "dns", "overload" }
local fails = { "timeout", "connect", "dns", "closed", "protocol", "tls" }

return {
  name = "moongate.socket",
  doc = "Connections for protocols that have no module.",
  functions = {
    { "tcp", doc = "A connection that is not made yet.", returns = { { "Socket" } } },
    { "udp", doc = "Datagrams to and from one peer that is not chosen yet.",
      returns = { { "Datagrams" } } },
  },
  classes = {
    {
      "Socket", variable = "sock",
      doc = "One operation at a time, but `send` may be called while another function waits in a "
        .. "`receive`; closed with the hook that waits on it.",
      methods = {
        {
          "connect", awaits = true, doc = "Connects, or takes a connection that was left with "
            .. "`setkeepalive`, in whichever hook or generation of this worker.",
          arguments = {
            { "host", "string", max_length = 253,
              doc = "a name, an address, or \"unix:/path\" without a port" },
            { "port", "integer", optional = true, min = 1, max = 65535 },
            { "options", "table", optional = true, fields = {
              { "pool", "string", max_length = 300, doc = "the name of the pool that the "
                .. "connection belongs to; \"host:port\" by default. Give another where a login "
                .. "has changed what a connection may do" },
              { "pool_size", "integer", default = 30, min = 1, max = 10000,
                doc = "how many may be idle" },
              { "backlog", "integer", optional = true, min = 0, max = 10000, doc = "at most "
                .. "`pool_size` connections are in use then, and so many wait for one" },
            } },
          },
          returns = { { "true" } }, fails = connect_fails,
        },
        {
          "sslhandshake", awaits = true, doc = "Goes on in TLS. A connection that was kept is in "
            .. "TLS already, and must have been made with the same options.",
          arguments = { { "options", "table", optional = true, fields = {
            { "profile", "string", default = "default", doc = "one of `tls_profiles`" },
            { "server_name", "string", optional = true, doc = "the name in its certificate; the "
              .. "host by default" },
            { "verify", "boolean", default = true, doc = "false: whoever answers is trusted, or, "
              .. "with `pin`, who has that key" },
            { "pin", "string|string[]", optional = true, doc = "\"sha256/...\" of its public key" },
          } } },
          returns = { { "true" } }, fails = { "timeout", "closed", "tls" },
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
        {
          "setkeepalive", doc = "Leaves the connection for others. It is closed instead when the "
            .. "peer has closed it or has said more than was received.",
          arguments = {
            { "seconds", "number", default = 60, unit = "seconds", min = 0, max = 86400,
              doc = "how long it may be idle; 0: as long as the peer lets it" },
            { "size", "integer", optional = true, min = 1, max = 10000,
              doc = "how many of the pool may be idle; as `connect` has said by default" },
          },
          returns = { { "true" } }, fails = { "closed" },
        },
        { "getreusedtimes", doc = "How often the connection was taken from its pool.",
          returns = { { "integer" } }, fails = { "closed" } },
        { "close", doc = "Closes the connection.", returns = { { "true" } } },
      },
    },
    {
      "Datagrams", variable = "datagrams",
      doc = "One operation at a time; closed with the hook that waits on it.",
      methods = {
        { "setpeername", doc = "Chooses the peer.",
          arguments = {
            { "address", "string", doc = "an IP address, or \"unix:/path\" without a port" },
            { "port", "integer", optional = true, min = 1, max = 65535 },
          },
          returns = { { "true" } }, fails = { "connect", "closed" } },
        { "send", doc = "Sends one datagram.",
          arguments = { { "data", "string|number|Secret|table", doc = "a table is a list of "
            .. "these; at most 65507 bytes" } },
          returns = { { "true" } }, fails = { "connect", "closed" } },
        { "receive", awaits = true, doc = "Receives one datagram.",
          arguments = { { "size", "integer", default = 65507, min = 1, max = 65507, unit = "bytes",
            doc = "more than that is cut off" } },
          returns = { { "string" } }, fails = { "timeout", "connect", "closed" } },
        { "settimeout", doc = "For all that follows.",
          arguments = { { "seconds", "number", unit = "seconds", max = 3600,
            doc = "at first 5" } } },
        { "close", doc = "Forgets the peer.", returns = { { "true" } } },
      },
    },
  },
}
