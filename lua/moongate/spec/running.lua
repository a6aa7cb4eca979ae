--- The real program under a spec, on ports that the kernel chooses, with mail servers and an auth
-- server behind it that live in the spec.
--
--     local gw = spec.gateway { config = "spec/fixtures/basic.lua" }
--     local imap = gw:imap()
--     imap:expect "* OK"; imap:send "a LOGIN alice secret"; imap:expect "a OK"
--     gw:stop()
--
-- The addresses of the servers are in upstreams.lua beside moongate.lua, which the configuration
-- may require: { imap =, pop3 =, smtp = "127.0.0.1:40123", auth = "http://127.0.0.1:40124/auth" }.
local client = require "moongate.spec.client"
local configuration = require "moongate.spec.configuration"
local folder = require "moongate.spec.folder"
local gateway = require "moongate.spec.gateway"
local http_server = require "moongate.spec.http_server"
local mail_client = require "moongate.spec.mail_client"
local upstream = require "moongate.spec.upstream"

local Running = {}
Running.__index = Running

--- Lets everybody in whom it is asked about, to the mail server of their protocol.
local function let_in(servers)
  return function(request)
    local server = servers[request.headers["auth-protocol"]]
    return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
      ["Auth-Port"] = tostring(server.port) } }
  end
end

local function start_servers()
  local servers = {}
  for _, protocol in ipairs { "imap", "pop3", "smtp" } do
    servers[protocol] = upstream.start { name = protocol .. " upstream",
      script = upstream[protocol]() }
  end
  servers.auth = http_server.start { name = "auth server", answer = let_in(servers) }
  return servers
end

local function stop_servers(servers)
  for _, server in pairs(servers) do server:stop() end
end

local function addresses_text(servers)
  return ("return { imap = %q, pop3 = %q, smtp = %q, auth = %q }\n"):format(servers.imap.address,
    servers.pop3.address, servers.smtp.address, servers.auth.url)
end

--- Starts the program. Options as of `spec.policy`; listeners must have port 0. The servers are
-- `gw.upstream.imap`, `.pop3`, `.smtp` and `gw.auth`: what they answer may be changed.
local function start(options)
  local servers = start_servers()
  local plan = configuration.plan(options)
  plan.files["upstreams.lua"] = addresses_text(servers)
  local top = folder.make(plan.project, plan.scripts, plan.files)
  local ok, process = pcall(gateway.start, { folder = top })
  if not ok then
    stop_servers(servers)
    error(process, 3)
  end
  return setmetatable({ process = process, upstream = servers, auth = servers.auth }, Running)
end

--- The port of the listener that `options` name, or of the first that is called like the protocol.
local function port_of(self, protocol, options)
  local ports = self.process.ports
  local names = options.listener and { options.listener }
    or options.tls and { protocol .. "s", protocol } or { protocol, "spec_" .. protocol, "spec" }
  for _, name in ipairs(names) do
    if ports[name] then return ports[name] end
  end
  error(("there is no listener %q"):format(names[1]), 3)
end

--- A client of the protocol: `listener`, `tls`, `starttls`, `sni`.
for _, protocol in ipairs { "imap", "pop3", "smtp" } do
  Running[protocol] = function(self, options)
    options = options or {}
    return mail_client.connect(protocol, port_of(self, protocol, options), options)
  end
end

--- Writes a file of the folder of moongate.lua. The author's own stays as it is.
function Running:write(name, text) folder.put(self.process.folder, { [name] = text }) end

--- Has the gateway read its files anew. The number of the generation that serves; or nil and the
-- errors, when it was refused.
function Running:reload() return self.process:reload() end

--- All that it has logged.
function Running:log() return self.process:log() end

--- Waits until the log has the pattern; its captures.
function Running:expect_log(pattern) return self.process:expect_log(pattern) end

local function first_error(log)
  for line in log:gmatch "[^\n]+" do
    if line:match "^%S+ error " or line:match "\"level\":\"error\"" then return line end
  end
end

--- Ends the gateway, which must do so in order, and its servers. That it has logged an error
-- fails the spec, unless `errors_expected`.
function Running:stop(errors_expected)
  client.discard_all()
  stop_servers(self.upstream)
  local ok, message = pcall(self.process.halt, self.process)
  local log = self.process:log() -- all of it: its process has ended
  self.process:remove()
  if not ok then error(message, 2) end
  local line = not errors_expected and first_error(log)
  if line then error("the gateway has logged an error: " .. line, 2) end
end

return { start = start, class = Running }
