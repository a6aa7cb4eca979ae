--- A private PostgreSQL in a temporary folder, on a loopback port and a unix socket.
--
--     local db = require("spec.support.postgres").start {
--       sql = "create table users (...);", certificate = path, key = path }
--     db.port, db.folder      -- 127.0.0.1, with TLS if there is a certificate; the socket's folder
--     db:stop()
--
-- The user is "gateway", the password "db secret", the database "mail". It runs as the user
-- postgres, as it refuses to be root.
local child = require "spec.support.child"
local ports = require "spec.support.ports"
local processes = require "spec.support.processes"
local pwd = require "posix.pwd"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local BINARIES = io.popen("ls -d /usr/lib/postgresql/*/bin"):read "*l"

local postgres = { PASSWORD = "db secret" }
postgres.__index = postgres

local function as_user(...)
  if unistd.geteuid() ~= 0 then return { ... } end
  return { "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
    "--pdeathsig=QUIT", ... }
end

local function own(path, mode)
  stat.chmod(path, mode)
  local entry = pwd.getpwnam "postgres"
  if unistd.geteuid() == 0 then unistd.chown(path, entry.pw_uid, entry.pw_gid) end
end

function postgres:write(name, text)
  local path = self.folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  own(path, 384)
  return path
end

local function run(...)
  local code, output = child.run(as_user(...))
  assert(code == 0, output)
  return output
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

--- Runs statements by psql, over the unix socket.
function postgres:ask(text)
  local code, output = child.run { BINARIES .. "/psql", "-h", self.folder, "-p",
    tostring(self.port), "-U", "gateway", "-d", "mail", "-v", "ON_ERROR_STOP=1", "-qAtc", text,
    environment = { PGPASSWORD = postgres.PASSWORD } }
  assert(code == 0, output)
  return (output:gsub("\n$", ""))
end

--- Waits until the statement says "t".
function postgres:await(text)
  processes.eventually(function() return self:ask(text) == "t" end, 20)
end

--- Starts the server on what is there already.
function postgres:run()
  local arguments = { BINARIES .. "/postgres", "-D", self.folder .. "/data", "-p",
    tostring(self.port), "-k", self.folder, "-c", "listen_addresses=127.0.0.1",
    "-c", "fsync=off", "-c", "max_connections=30" }
  if self.tls then
    for _, setting in ipairs { "ssl=on", "ssl_cert_file=" .. self.folder .. "/server.pem",
      "ssl_key_file=" .. self.folder .. "/server.key" } do
      table.insert(arguments, "-c")
      table.insert(arguments, setting)
    end
  end
  local command = as_user(unpack(arguments))
  self.runs = self.runs + 1
  command.log = ("%s/log%d"):format(self.folder, self.runs)
  self.process = child.start(command)
  self.process:expect("(database system is ready to accept connections)", 30)
end

function postgres.start(options)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-pg-XXXXXX")
  local self = setmetatable({ folder = folder, port = ports.free(), runs = 0,
    tls = options.certificate ~= nil }, postgres)
  own(folder, 493)
  local secret = self:write("password", postgres.PASSWORD .. "\n")
  run(BINARIES .. "/initdb", "-D", folder .. "/data", "-U", "gateway", "--pwfile", secret, "-A",
    "scram-sha-256", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
  if self.tls then
    self:write("server.pem", read(options.certificate))
    self:write("server.key", read(options.key))
  end
  local fine, message = pcall(function()
    self:run()
    child.run { BINARIES .. "/createdb", "-h", folder, "-p", tostring(self.port), "-U", "gateway",
      "mail", environment = { PGPASSWORD = postgres.PASSWORD } }
    self:ask(options.sql or "select 1")
  end)
  if fine then return self end
  self:stop()
  error(message, 2)
end

--- Its processes: the first takes connections, the others each serve one.
function postgres:processes()
  local pids = { self.process.pid }
  for pid in io.popen("pgrep -P " .. self.process.pid):lines() do
    table.insert(pids, tonumber(pid))
  end
  return pids
end

--- It holds its connections, takes more, and answers nothing.
function postgres:freeze()
  for _, pid in ipairs(self:processes()) do processes.freeze(pid) end
end

--- Ends all of it at once, as when the machine loses power.
function postgres:crash()
  self:freeze()
  for _, pid in ipairs(self:processes()) do signal.kill(pid, signal.SIGKILL) end
  self.process:stop(signal.SIGKILL)
  self.process = nil
end

function postgres:stop()
  if self.process then self:crash() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

return postgres
