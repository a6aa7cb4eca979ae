--- Redis servers and Sentinels of a spec: real ones, in a temporary folder, on ports of 127.0.0.1.
--
--     local server = redis.start { password = "pw" }
--     server.url, server.port, server.unix    -- "redis://127.0.0.1:1234", "unix:/tmp/.../socket"
--     server:cli("GET", "key")                -- what redis-cli prints
--     server:kill()                           -- with SIGKILL; server:run() starts it again
--     server:stop()
--
-- Options: `password`, `tls` (a leaf of spec.support.ca: then its port speaks TLS only),
-- `replica_of` (a server), `more` (further lines of its configuration).
local child = require "spec.support.child"
local ports = require "spec.support.ports"
local signal = require "posix.signal"
local socket = require "socket"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local redis = {}
redis.__index = redis

local function configuration(self, options)
  local lines = {
    "bind 127.0.0.1", "daemonize no", 'save ""', "appendonly no", "dir " .. self.folder,
    "unixsocket " .. self.folder .. "/socket", "unixsocketperm 777",
    "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
  }
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  if options.tls then
    add "port 0"
    add("tls-port %d", self.port)
    add("tls-cert-file %s", options.tls.certificate)
    add("tls-key-file %s", options.tls.key)
    add("tls-ca-cert-file %s", options.tls.certificate)
    add "tls-auth-clients no"
  else
    add("port %d", self.port)
  end
  if options.password then
    add("requirepass %s", options.password)
    add("masterauth %s", options.password)
  end
  if options.replica_of then add("replicaof 127.0.0.1 %d", options.replica_of.port) end
  if options.more then add("%s", options.more) end
  return table.concat(lines, "\n") .. "\n"
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function new(kind)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-redis-XXXXXX")
  stat.chmod(folder, 493)
  return setmetatable({ folder = folder, port = ports.free(), kind = kind,
    unix = "unix:" .. folder .. "/socket" }, redis)
end

--- Starts it, or starts it again, and waits until it serves.
function redis:run()
  self.runs = (self.runs or 0) + 1
  self.process = child.start { "redis-" .. self.kind, self.folder .. "/redis.conf",
    log = ("%s/log.%d"):format(self.folder, self.runs) }
  self.process:expect(self.kind == "server" and "(Ready to accept connections)"
    or "(Sentinel ID is)", 20)
  return self
end

function redis.start(options)
  options = options or {}
  local self = new "server"
  self.password, self.secure = options.password, options.tls
  self.url = ("%s://127.0.0.1:%d"):format(options.tls and "rediss" or "redis", self.port)
  write(self.folder .. "/redis.conf", configuration(self, options))
  return self:run()
end

--- A Sentinel that watches `master` under the name "mail"; alone it is a quorum.
function redis.sentinel(master, options)
  local self = new "sentinel"
  local password = master.password and "sentinel auth-pass mail " .. master.password or ""
  write(self.folder .. "/redis.conf", ([[
port %d
bind 127.0.0.1
dir %s
sentinel monitor mail 127.0.0.1 %d 1
%s
sentinel down-after-milliseconds mail 300
sentinel failover-timeout mail 3000
%s
]]):format(self.port, self.folder, master.port, password, (options or {}).more or ""))
  self.address = "127.0.0.1:" .. self.port
  return self:run()
end

--- What redis-cli prints for a command.
function redis:cli(...)
  local words = { "redis-cli", "--no-auth-warning" }
  if self.kind == "server" then
    words[3], words[4] = "-s", self.folder .. "/socket"
  else
    words[3], words[4] = "-p", tostring(self.port)
  end
  if self.password then words[5], words[6] = "-a", self.password end
  for _, word in ipairs { ... } do words[#words + 1] = tostring(word) end
  local _, output = child.run(words)
  return (output:gsub("\n$", ""))
end

--- Asks redis-cli, until `holds(what it prints)`: a server tells nobody when it is so.
function redis:wait(what, command, holds)
  local ends = socket.gettime() + 30
  local output = self:cli(unpack(command))
  while not (type(holds) == "string" and output:find(holds)
    or type(holds) == "function" and holds(output)) do
    if socket.gettime() > ends then break end
    output = self:cli(unpack(command))
  end
  if socket.gettime() <= ends then return end
  error(("waited in vain for %s:\n%s"):format(what, output), 2)
end

--- Waits until clients have so many connections open, without the one that asks.
function redis:wait_connections(count)
  self:wait(count .. " connections", { "INFO", "clients" },
    "connected_clients:" .. count + 1 .. "\r")
end

function redis:signal(number) signal.kill(self.process.pid, number) end

function redis:kill() self.process:stop(signal.SIGKILL) end

function redis:stop()
  self.process:stop(signal.SIGKILL)
  child.run { "rm", "-rf", self.folder }
end

return redis
