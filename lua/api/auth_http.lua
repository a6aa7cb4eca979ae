--- `moongate.auth_http`. The format is explained in README.md.
return {
  name = "moongate.auth_http",
  doc = "Asks auth servers in the protocol of nginx's mail proxy.",
  functions = {
    {
      "new", doc = "A group of servers that give the same answers.",
      arguments = {
        {
          "options", "table", fields = {
            { "url", "string", optional = true, doc = "http://host[:port][/uri], "
              .. "https://host[:port][/uri] or http://unix:/path[:/uri]; this or `urls` is "
              .. "needed" },
            { "urls", "string[]", optional = true,
              doc = "several, in the order of preference; at most 16" },
            { "timeout", "number", default = 5, unit = "seconds", min = 0.001, max = 600,
              doc = "for one server" },
            { "headers", "table", optional = true, doc = "request fields by name, or "
              .. "{ name, value } pairs in order; a value is text or a Secret" },
            { "retries", "integer", optional = true, min = 0, max = 100,
              doc = "further tries after the first; by default one less than there are urls" },
            { "keepalive", "integer", default = 32, min = 0, max = 10000,
              doc = "idle connections kept for each server" },
            { "pass_client_cert", "boolean", default = false,
              doc = "sends the client's certificate as Auth-SSL-Cert" },
            { "smtp_login", "boolean", default = true,
              doc = "SMTP: whether the upstream is logged in at; without it `forward` may still "
                .. "tell it who the user is" },
            { "profile", "string", default = "default", max_length = 255,
              doc = "https: the one of the configuration's tls_profiles that is used" },
            { "server_name", "string", optional = true, max_length = 255,
              doc = "https: the name in the server's certificate; by default the host of the url" },
            { "verify", "boolean", default = true,
              doc = "https: false trusts any server; with `pin`, any that has this key" },
            { "pin", "string|string[]", optional = true,
              doc = "https: \"sha256/<base64>\", the server's public key is one of these; at "
                .. "most 4" },
          },
        },
      },
      returns = { { "AuthCheck" } },
      errors = "raises when an option is wrong",
    },
  },
  classes = {
    {
      "AuthCheck", variable = "check",
      doc = "Call it in `auth` with the credentials, in `rcpt` with the recipient. Or return it as "
        .. "the hook itself, `return { auth = check }`: that is asked without a coroutine.",
      call = {
        awaits = true,
        arguments = {
          { "session", "Session" },
          { "what", "Credentials|Address" },
        },
        returns = { { "Decision",
          doc = "accept, reject or wait; tempfail when no server gave a proper answer" } },
      },
    },
  },
}
