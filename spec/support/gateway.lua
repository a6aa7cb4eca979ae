--- Runs the real gateway for a spec: a temporary folder, the built binary, its listeners' ports.
--
--     local gateway = require("spec.support.gateway").start {
--       files = { ["moongate.lua"] = "...", ["scripts/users.lua"] = "..." },
--     }
--     gateway.ports.imap      -- where the listener "imap", configured with port 0, accepts
--     gateway:stop()          -- fails if it did not end well
local child = require "spec.support.child"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local gateway = {}
gateway.__index = gateway

--- The built executable.
function gateway.binary() return (os.getenv "MOONGATE_BUILD" or "build/release") .. "/moongate" end

--- Writes one file of the gateway's folder, as an editor would.
function gateway:write(name, text)
  local path = self.folder .. "/" .. name
  stat.mkdir(path:match "^(.*)/", 493)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- Starts (again) what the folder holds and waits until every listener accepts.
function gateway:run()
  self.process = child.start { gateway.binary(), "run", "-c", self.folder .. "/moongate.lua",
    log = ("%s/log.%d"):format(self.folder, self.runs) }
  self.runs = self.runs + 1
  local line = self.process:expect("([^\n]*%f[%w]ready%f[%W][^\n]*)\n", 20)
  self.ports = {}
  for name, port in line:gmatch "([%w_-]+)=%S+:(%d+)" do self.ports[name] = tonumber(port) end
  return self
end

function gateway.start(options)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-gateway-XXXXXX")
  stat.chmod(folder, 493)
  local self = setmetatable({ folder = folder, runs = 0 }, gateway)
  for name, text in pairs(options.files) do self:write(name, text) end
  local fine, message = pcall(self.run, self)
  if fine then return self end
  self:remove()
  error(message, 2)
end

--- All that this run has logged.
function gateway:log() return self.process:output() end

--- Ends the process as an operator does; an unclean end is an error.
function gateway:halt()
  local code, status = self.process:stop()
  if code ~= 0 then error(("the gateway %s with %s:\n%s"):format(status, code, self:log()), 2) end
end

function gateway:remove()
  if self.process then self.process:stop() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

function gateway:stop()
  local fine, message = pcall(self.halt, self)
  self:remove()
  if not fine then error(message, 2) end
end

return gateway
