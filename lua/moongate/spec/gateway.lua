--- Runs the real gateway for a spec: a temporary folder, the built binary, its listeners' ports.
--
--     local gateway = require("moongate.spec.gateway").start {
--       files = { ["moongate.lua"] = "...", ["scripts/users.lua"] = "..." },
--     }
--     gateway.ports.imap      -- where the listener "imap", configured with port 0, accepts
--     gateway:stop()          -- fails if it did not end well
local child = require "moongate.spec.child"
local ffi = require "ffi"
local loop = require "moongate.spec.loop"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local IN_MODIFY, IN_FLAGS = 2, 0x80800 -- IN_CLOEXEC | IN_NONBLOCK

local gateway = {}
gateway.__index = gateway

--- The built executable.
function gateway.binary()
  local own = unistd.readlink "/proc/self/exe" or ""
  if own:match "/moongate$" then return own end -- `moongate test`
  return (os.getenv "MOONGATE_BUILD" or "build/release") .. "/moongate"
end

--- Writes one file of the gateway's folder, as an editor would.
function gateway:write(name, text)
  local path = self.folder .. "/" .. name
  for slash in path:gmatch("()/", #self.folder + 2) do stat.mkdir(path:sub(1, slash - 1), 493) end
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- The command line that runs what the folder holds; `prefix` is put in front of it.
local function command(self)
  local words = { unpack(self.prefix) }
  for _, word in ipairs { gateway.binary(), "run", self.nginx and "--nginx" or "-c",
    self.folder .. (self.nginx and "/nginx.conf" or "/moongate.lua"), unpack(self.words) } do
    words[#words + 1] = word
  end
  words.log = ("%s/log.%d"):format(self.folder, self.runs)
  return words
end

local function take_ports(self, line)
  self.ports = {}
  for name, port in line:gmatch "([%w_-]+)=%S+:(%d+)" do self.ports[name] = tonumber(port) end
end

local START_SECONDS = 60 -- at most; an emulated machine needs some

--- Starts (again) what the folder holds and waits until every listener accepts.
function gateway:run()
  self.process = child.start(command(self))
  self.runs = self.runs + 1
  take_ports(self, self.process:expect("([^\n]*%f[%w]ready%f[%W][^\n]*)\n", START_SECONDS))
  return self
end

--- `files` by name, in a new folder or in `folder`; `prefix`, a program and its arguments that
-- runs the gateway; `words`, further ones of its command line; `nginx`: it is to serve nginx.conf.
function gateway.start(options)
  local folder = options.folder or assert(stdlib.mkdtemp "/tmp/moongate-gateway-XXXXXX")
  stat.chmod(folder, 493)
  local self = setmetatable({ folder = folder, runs = 0,
    prefix = options.prefix or {}, words = options.words or {}, nginx = options.nginx }, gateway)
  for name, text in pairs(options.files or {}) do self:write(name, text) end
  local fine, message = pcall(self.run, self)
  self.silence = loop.witness(function() return "-- gateway\n" .. self:log() end)
  if fine then return self end
  self:remove()
  error(message, 2)
end

--- All that this run has logged.
function gateway:log() return self.process:output() end

--- Turns the loop until `done()` is true, looking again whenever something was logged.
local function await_log(self, what, done, seconds)
  local watch = ffi.C.inotify_init1(IN_FLAGS)
  ffi.C.inotify_add_watch(watch, self.process.log, IN_MODIFY)
  loop.watch(watch, { reading = true, on_readable = function() unistd.read(watch, 4096) end })
  local fine, message = pcall(loop.wait, what, done, seconds)
  loop.forget(watch)
  unistd.close(watch)
  if not fine then error(message, 0) end
end

--- Waits until the log has `pattern`, and returns its captures.
function gateway:expect_log(pattern, seconds)
  local found
  await_log(self, ("the log to say %q"):format(pattern), function()
    found = { self:log():match(pattern) }
    return found[1]
  end, seconds)
  return unpack(found)
end

--- Reloads what the folder holds now, by SIGHUP. The number of the generation that serves; or nil
-- and what was logged, if the reload was refused.
function gateway:reload(seconds)
  local from = #self:log() + 1
  signal.kill(self.process.pid, signal.SIGHUP)
  local number
  await_log(self, "the reload to end", function()
    number = self:log():match("reload: generation (%d+) serves", from)
    return number or self:log():find("reload refused", from, true)
  end, seconds or 30)
  local said = self:log():sub(from)
  if not number then return nil, said end
  for line in said:gmatch "moongate: (ready[^\n]*)\n" do take_ports(self, line) end
  return tonumber(number)
end

--- The fields of a session's line: `session=01J.. client=127.0.0.1:5 user="ann" end=refused ...`.
local function parse_session(line)
  local fields = { line = line }
  for name, value in line:gmatch ' ([%w_]+)=([^%s"]+)' do fields[name] = value end
  for name, value in line:gmatch ' ([%w_]+)="([^"]*)"' do fields[name] = value end
  return fields
end

local function session_lines(self)
  local lines = {}
  for line in self:log():gmatch "[^\n]+" do
    if line:find " session=%w+ .* end=%l" then table.insert(lines, line) end
  end
  return lines
end

--- How many sessions have ended.
function gateway:ended_count() return #session_lines(self) end

--- Waits until `count` sessions have ended.
function gateway:await_ended(count, seconds)
  await_log(self, count .. " sessions' lines",
    function() return self:ended_count() >= count end, seconds)
end

--- Whether the line is of the listener that `client` connected to: two of them may have met clients
-- with the same port of their own.
local function is_there(self, line, client)
  local port = self.ports[line:match 'listener="([^"]*)"' or ""]
  return not port or not client.server_port or port == client.server_port
end

--- Waits until the session of `client` has ended, and returns the fields of its line.
function gateway:session_of(client, seconds)
  local found
  local address = ("127.0.0.1:%d"):format(client.port)
  local sign = " client=" .. address .. " "
  local proxied = " via=" .. address .. " " -- a client that named another
  await_log(self, "the session's line of " .. client.name, function()
    for _, line in ipairs(session_lines(self)) do
      local own = line:find(sign, 1, true) and not line:find(" via=", 1, true)
      if (own or line:find(proxied, 1, true)) and is_there(self, line, client) then found = line end
    end
    return found
  end, seconds)
  return parse_session(found)
end

--- What no run may ever log.
local function find_bug(log)
  for _, sign in ipairs { "bug:", "Sanitizer", "runtime error" } do
    local line = log:match("[^\n]*" .. sign .. "[^\n]*")
    if line then return line end
  end
end

--- Ends the process as an operator does; an unclean end is an error.
function gateway:halt()
  local code, status = self.process:stop()
  if code ~= 0 then error(("the gateway %s with %s:\n%s"):format(status, code, self:log()), 2) end
  local bug = find_bug(self:log())
  if bug then error("the gateway has a bug: " .. bug .. "\n" .. self:log(), 2) end
end

function gateway:remove()
  if self.silence then self.silence() end
  if self.process then self.process:stop() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

function gateway:stop()
  local fine, message = pcall(self.halt, self)
  self:remove()
  if not fine then error(message, 2) end
end

return gateway
