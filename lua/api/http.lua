--- `moongate.http`. The format is explained in auth_http.lua.
local options = {
  { "method", "string", doc = "for request; POST if there is a body, else GET" },
  { "headers", "table", doc = "fields by name; a value is text, a number or a Secret" },
  { "body", "string|Secret", doc = "at most 8 MiB" },
  { "form", "table", doc = "sent as application/x-www-form-urlencoded; values may be Secrets" },
  { "json", "any", doc = "sent as application/json" },
  { "basic_auth", "string|Secret", doc = "\"id:secret\"" },
  { "timeout", "number", default = 5, unit = "seconds", doc = "for everything" },
  { "verify", "boolean", default = true, doc = "the server's certificate and name" },
  { "ca", "string", doc = "PEM to trust instead of what the machine does; see file.read" },
  { "unix_socket", "string",
    doc = "path of a socket to connect to, whatever the URL's host says" },
  { "max_body", "integer", default = 1048576, unit = "bytes", doc = "of the answer" },
}

local function request(name, doc)
  return {
    name, doc = doc, awaits = true,
    arguments = { { "url", "string", doc = "http:// or https://, without user@" } },
    options = options,
    returns = { { "res", "moongate.HttpResponse" } },
    errors = { "timeout", "connect", "tls", "dns", "protocol", "closed" },
  }
end

return {
  module = "moongate.http",
  doc = "an HTTP client; connections are kept, redirects are not followed",
  functions = {
    request("request", "any method"),
    request("get", "GET"),
    request("post", "POST"),
    {
      "escape", doc = "percent-encodes all but letters, digits and -._~",
      arguments = { { "text", "string" } },
      returns = { { "escaped", "string" } },
    },
  },
  objects = {
    {
      "moongate.HttpResponse",
      fields = {
        { "status", "integer" },
        { "headers", "table<string, string>",
          doc = "names in lower case; repeated fields joined by \", \"" },
        { "body", "string" },
      },
      methods = {
        { "json", doc = "the body as JSON; null is nil", returns = { { "value", "any" } },
          errors = { "protocol" } },
      },
    },
  },
}
