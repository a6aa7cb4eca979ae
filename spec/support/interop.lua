--- The real gateway in front of a real Dovecot and Postfix, for the interop specs.
--
-- With `MOONGATE_STRAIGHT=1` clients get the servers' own ports, which shows whether a spec fails
-- because of the gateway or without it.
local gateway = require "spec.support.gateway"
local servers = require "spec.support.servers"
local stat = require "posix.sys.stat"

local M = {}
local pair = {}
pair.__index = pair

M.USERS = { ["erin@example.org"] = "moonlight", ["frank@example.org"] = "star light%\"x" }

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 2,
  user = "nobody",
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "users" },
    upstream = "127.0.0.1:$imap" },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = { "users" },
    upstream = "127.0.0.1:$pop3" },
  c.listen "submission" { address = "127.0.0.1:0", protocol = "smtp", policy = { "users" },
    upstream = "127.0.0.1:$submission" },
}
]]

M.POLICY = [[
local moongate = require "moongate"

local users = {
  ["erin@example.org"] = "moonlight",
  ["frank@example.org"] = "star light%\"x",
}

return {
  auth = function(_, credentials)
    local password = users[credentials.user]
    if password and credentials.password:equals(password) then
      return moongate.accept { user = credentials.user }
    end
    return moongate.reject { reason = "bad-credentials" }
  end,
}
]]

-- Stands for the gateway where there is none.
local NONE = { log = function() return "" end, stop = function() end }

local function start_gateway(ports)
  return gateway.start { files = {
    ["moongate.lua"] = CONFIG:gsub("%$([%l%d]+)", ports),
    ["scripts/users.lua"] = M.POLICY,
  } }
end

--- Starts both; `pair.ports` are the gateway's, `pair.servers` the servers.
function M.start()
  local self = setmetatable({ servers = servers.start { users = M.USERS } }, pair)
  self.root = self.servers.folder
  local straight = os.getenv "MOONGATE_STRAIGHT"
  local fine, result = pcall(straight and function() return NONE end or start_gateway, self.servers)
  if not fine then
    self.servers:stop()
    error(result, 2)
  end
  self.gateway = result
  self.ports = straight and self.servers or self.gateway.ports
  return self
end

--- A folder under the temporary one, made now.
function pair:folder(name)
  local path = self.root .. "/" .. name
  stat.mkdir(path, 493)
  return path
end

--- Writes a file there.
function pair:write(name, text, mode)
  local path = self.root .. "/" .. name
  stat.mkdir(path:match "^(.*)/", 493)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  if mode then stat.chmod(path, mode) end
end

function pair:stop()
  local fine, message = pcall(self.gateway.stop, self.gateway)
  self.servers:stop()
  if not fine then error(message, 0) end
end

return M
