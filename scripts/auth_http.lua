--- Asks an auth server in the protocol of nginx's mail proxy: a drop-in for `auth_http`.
--
--     policy = { "auth_http" },
--     settings = { auth_http = { url = "http://127.0.0.1:9000/auth" } },
--
-- Settings:
--
--     url               http[s]://host[:port][/uri] or http://unix:/path[:/uri]
--     urls              several of them: the next is asked when one gives no answer
--     timeout           seconds for one server (5)                   nginx: auth_http_timeout
--     headers           { ["X-Auth-Key"] = "..." }, or { { name, value }, ... } to keep an order;
--                       a value may be a secret                      nginx: auth_http_header
--     retries           further tries after the first (the number of urls less one)
--     keepalive         connections to each server that are kept open (32)
--     pass_client_cert  send the client's certificate      nginx: auth_http_pass_client_cert
--     smtp_login        false: nobody is logged in at an SMTP upstream, XCLIENT alone tells it who
--                       the user is (true)                         nginx: proxy_smtp_auth
--     listeners         { name = { ... } }: the settings of a listener that has others; all of
--                       them, nothing is taken from those above
--
-- of https, where nothing is sent to a server before it has proven who it is:
--
--     profile           which of the configuration's tls_profiles: who is trusted, our certificate
--                       ("default")
--     server_name       the name in the server's certificate (the host of the url)
--     pin               "sha256/<base64>", or several: its public key must be one of these
--     verify            false: any server will do; with a pin, any that has the key
--
-- The server decides: `Auth-Status: OK` with `Auth-Server` and `Auth-Port` lets the user in; any
-- other status is told to the client. After `Auth-Wait` the client may try again; without it the
-- session ends. An answer that is not 2xx, not whole, or says a thing twice is a temporary
-- failure. On an SMTP listener without AUTH it is asked about each recipient.
local auth_http = require "moongate.auth_http"
local moongate = require "moongate"

local fields = {
  url = "string",
  urls = { "list", of = "string" },
  timeout = { "duration", default = 5, min = 0.05 },
  headers = "data",
  retries = { "integer", min = 0, max = 100 },
  keepalive = { "integer", min = 0, max = 10000 },
  pass_client_cert = "boolean",
  smtp_login = "boolean",
  profile = "string",
  server_name = "string",
  verify = "boolean",
  pin = "data",
}

--- `fields` of one listener's settings, as a section has them.
local function section()
  local list = {}
  for name, field in pairs(fields) do
    local whole = type(field) == "table" and field or { field }
    table.insert(list, { name, whole[1], default = whole.default, min = whole.min,
      max = whole.max, of = whole.of })
  end
  table.sort(list, function(one, other) return one[1] < other[1] end)
  return { "map", default = {}, of = { type = "section", fields = list } }
end

local description = { listeners = section() }
for name, field in pairs(fields) do description[name] = field end
local settings = moongate.settings("auth_http", description)

local options, checks = {}, {}
for name in pairs(fields) do options[name] = settings[name] end
local shared_check = auth_http.new(options)
for name, own in pairs(settings.listeners) do checks[name] = auth_http.new(own) end

--- @param session moongate.Session
--- @param what moongate.Credentials|moongate.Recipient
--- @return moongate.Decision
local function check_by_listener(session, what)
  return (checks[session.listener] or shared_check)(session, what)
end

-- The check itself, where there is one for all listeners, is asked without a coroutine.
local check = next(checks) and check_by_listener or shared_check

return { auth = check, rcpt = check }
