--- `moongate.http`. The format is explained in README.md.
local function request(name, doc)
  local fields = {
    { "headers", "table<string, string|number|Secret>", optional = true,
      doc = "request fields by name" },
    { "body", "string|Secret", optional = true, doc = "at most 8 MiB" },
    { "form", "table<string, string|number|boolean|Secret>", optional = true,
      doc = "sent as application/x-www-form-urlencoded" },
    { "json", "any", optional = true, doc = "sent as application/json" },
    { "basic_auth", "string|Secret", optional = true, max_length = 4096, doc = "\"id:secret\"" },
    { "timeout", "number", default = 5, unit = "seconds", min = 0.001, max = 600,
      doc = "for everything" },
    { "verify", "boolean", default = true, doc = "the server's certificate and name" },
    { "ca", "string", optional = true,
      doc = "PEM to trust instead of what the machine does; see `file.read`" },
    { "unix_socket", "string", optional = true, max_length = 107,
      doc = "absolute path of a socket to connect to, whatever host the URL names" },
    { "max_body", "integer", default = 1048576, unit = "bytes", min = 1, max = 67108864,
      doc = "of the answer" },
  }
  table.insert(fields, 1, { "method", "string", optional = true, doc = name == "request"
    and "POST if there is a body, else GET" or "is not looked at: the function says it" })
  return {
    name, doc = doc, awaits = true,
    arguments = {
      { "url", "string", doc = "http:// or https://, without user@" },
      { "options", "table", optional = true, fields = fields },
    },
    returns = { { "HttpResponse" } },
    fails = { "timeout", "connect", "tls", "dns", "protocol", "closed" },
    errors = "raises when the url or an option is wrong",
  }
end

return {
  name = "moongate.http",
  doc = "An HTTP client. Connections are kept; redirects are not followed.",
  functions = {
    request("request", "Asks with any method."),
    request("get", "Asks with GET."),
    request("post", "Asks with POST."),
    {
      "escape", doc = "Percent-encodes all but letters, digits and -._~",
      arguments = { { "text", "string", max_length = 1048576 } },
      returns = { { "string" } },
    },
  },
  classes = {
    {
      "HttpResponse", variable = "res", doc = "The answer to a request, of any status.",
      fields = {
        { "status", "integer" },
        { "headers", "table<string, string>",
          doc = "names in lower case; repeated fields joined by \", \"" },
        { "body", "string" },
      },
      methods = {
        { "json", doc = "The body as JSON; null is nil.", returns = { { "any" } },
          fails = { "protocol" } },
      },
    },
  },
}
