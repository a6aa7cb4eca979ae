--- `moongate.ldap`. The format is explained in README.md.
local fails = { "timeout", "connect", "tls", "dns", "protocol", "closed", "overload" }

local function escape(name, doc)
  return {
    name, doc = doc, arguments = { { "text", "string", max_length = 4096 } },
    returns = { { "string" } },
  }
end

return {
  name = "moongate.ldap",
  doc = "LDAP directories. Connections are shared by all hooks of a worker, and by a reload's next "
    .. "generation. Referrals are not followed.",
  functions = {
    {
      "pool", doc = "A directory.",
      arguments = {
        { "options", "table", fields = {
          { "url", "string", doc = "ldap://host[:port] or ldaps://host[:port]" },
          { "starttls", "boolean", default = false,
            doc = "ldap://: nothing else is said before TLS" },
          { "bind_dn", "string", optional = true,
            doc = "the account that searches; without it, nobody" },
          { "password", "string|Secret", optional = true, max_length = 1024,
            doc = "of that account" },
          { "timeout", "number", default = 5, unit = "seconds", min = 0.001, max = 600,
            doc = "of one question, with connecting" },
          { "size", "integer", default = 8, min = 1, max = 1000,
            doc = "connections of each worker; what finds none free waits, 1,000 at most" },
          { "profile", "string", default = "default",
            doc = "of tls_profiles: who is trusted, our certificate" },
          { "server_name", "string", optional = true, doc = "in its certificate; by default the "
            .. "host" },
          { "verify", "boolean", default = true,
            doc = "false: any server will do; with a pin, any that has the key" },
          { "pin", "string|string[]", optional = true,
            doc = "\"sha256/<base64>\" of its public key" },
        } },
      },
      returns = { { "Directory" } },
      errors = "raises when an option is wrong",
    },
    escape("escape_dn",
      "What a text looks like as a value in a name: \"uid=\" .. ldap.escape_dn(user)."),
    escape("escape_filter", "What a text looks like as a value in a filter."),
  },
  classes = {
    {
      "Directory", variable = "dir", doc = "What `pool` gives.",
      methods = {
        {
          "bind", awaits = true, doc = "Whether this is the password of that entry. An empty one "
            .. "never is, and is not sent.",
          arguments = { { "dn", "string", max_length = 8192 },
            { "password", "Secret|string", max_length = 8192 } },
          returns = { { "boolean", doc = "false: wrong password, or no such entry" } },
          fails = fails, errors = "raises for a name with a NUL",
        },
        {
          "search", awaits = true, doc = "Finds entries, as the account of the pool.",
          arguments = { { "options", "table", fields = {
            { "base", "string", default = "", max_length = 8192 },
            { "scope", "string", default = "sub", values = { "base", "one", "sub" } },
            { "filter", "string", default = "(objectClass=*)", max_length = 8192 },
            { "attributes", "string[]", optional = true, doc = "at most 64; by default all" },
            { "limit", "integer", default = 100, min = 1, max = 1000,
              doc = "entries; further ones are left out" },
          } } },
          returns = { { "table[]", doc = "{ dn =, attributes = { mail = { \"a\", \"b\" } } }, "
            .. "names in lower case; at most 1 MiB; none where the base is not there" } },
          fails = fails, errors = "raises when an option is wrong",
        },
      },
    },
  },
}
