--- `moongate.auth_http`, described once: the manual and the editor's help are made of it.
--
-- A module is { module, doc, functions, objects }. A function is { name, doc, awaits, arguments,
-- options, returns, errors }; an argument, option or result is { name, type, default, unit, doc },
-- and `errors` are the kinds of failure that it gives as `nil, err`.
return {
  module = "moongate.auth_http",
  doc = "asks auth servers in the protocol of nginx's mail proxy",
  functions = {
    {
      "new", doc = "a group of servers that give the same answers",
      options = {
        { "url", "string", doc = "http://host[:port][/uri], https://host[:port][/uri] or "
          .. "http://unix:/path[:/uri]" },
        { "urls", "string[]", doc = "several, in the order of preference; at most 16" },
        { "timeout", "number", default = 5, unit = "seconds", doc = "for one server" },
        { "headers", "table", doc = "request fields by name, or { name, value } pairs in order; "
          .. "a value is text or a Secret" },
        { "retries", "integer", doc = "further tries after the first; by default one less than "
          .. "there are urls" },
        { "keepalive", "integer", default = 32, doc = "idle connections kept for each server" },
        { "pass_client_cert", "boolean", default = false,
          doc = "sends the client's certificate as Auth-SSL-Cert" },
        { "profile", "string", default = "default",
          doc = "https: the one of the configuration's tls_profiles that is used" },
        { "server_name", "string",
          doc = "https: the name in the server's certificate; by default the host of the url" },
        { "verify", "boolean", default = true,
          doc = "https: false trusts any server; with `pin`, any that has this key" },
        { "pin", "string|string[]",
          doc = "https: \"sha256/<base64>\", the server's public key is one of these" },
      },
      returns = { { "check", "moongate.AuthCheck" } },
    },
  },
  objects = {
    {
      "moongate.AuthCheck", doc = "call it in `auth` with the credentials, in `rcpt` with the "
        .. "recipient",
      call = {
        awaits = true,
        arguments = { { "session", "moongate.Session" },
          { "what", "moongate.Credentials|moongate.Recipient" } },
        returns = { { "decision", "moongate.Decision",
          doc = "accept, reject, wait; tempfail when no server gave a proper answer" } },
      },
    },
  },
}
