--- The connection to Dovecot's auth service: its auth-client protocol, version 1.
--
-- All hooks of a worker ask over one connection, without waiting for each other: Dovecot keeps a
-- refusal back for seconds. A detached function receives as long as anybody waits, and opens their
-- gates. When the connection is lost all of them hear of it.
local core = require "moongate.core"
local socket = require "moongate.socket"

local LINES_MAX = 1000      -- of a handshake
local BYTES_MAX = 65536     -- of a line
local READER_SECONDS = 1    -- then another goes on, with a CPU budget of its own
local WAITING_MAX = 1000

local connection = {}

-- Lines -----------------------------------------------------------------------

local ESCAPES = { ["\0"] = "\0010", ["\1"] = "\0011", ["\t"] = "\1t", ["\n"] = "\1n",
  ["\r"] = "\1r" }
local UNESCAPES = { ["0"] = "\0", ["1"] = "\1", t = "\t", n = "\n", r = "\r" }

--- "name" or "name=value" as a field of a line.
function connection.field(name, value)
  if value == nil then return name end
  return name .. "=" .. tostring(value):gsub("[%z\1\t\n\r]", ESCAPES)
end

local function split(line)
  local parts = {}
  for part in (line .. "\t"):gmatch "([^\t]*)\t" do
    parts[#parts + 1] = part:gsub("\1(.)", UNESCAPES)
  end
  return parts
end

--- The fields from the one with this number on: by name, true where there is no value.
local function named(parts, first)
  local fields = {}
  for i = first, #parts do
    local name, value = parts[i]:match "^([^=]*)=(.*)$"
    fields[name or parts[i]] = value or true
  end
  return fields
end

-- The handshake ---------------------------------------------------------------

--- Takes lines until DONE; or nil, err.
local function shake_hands(sock)
  local mechanisms = {}
  for _ = 1, LINES_MAX do
    local line, err = sock:receive "*l"
    if not line then return nil, err end
    local parts = split(line)
    if parts[1] == "VERSION" and parts[2] ~= "1" then
      return nil, "dovecot: version " .. tostring(parts[2]) .. " of the protocol is unknown"
    elseif parts[1] == "MECH" then
      mechanisms[parts[2] or ""] = true
    elseif parts[1] == "DONE" then
      return mechanisms
    end
  end
  return nil, "dovecot: the handshake has no end"
end

local function connect(path, timeout)
  local sock = socket.tcp()
  sock:settimeout(timeout)
  local fine, err = sock:connect("unix:" .. path)
  -- Dovecot wants a number that no other client has.
  fine = fine and { sock:send(("VERSION\t1\t1\nCPID\t%d\n"):format(core.random() % 2 ^ 31)) }
  if fine and not fine[1] then fine, err = nil, fine[2] end
  local mechanisms
  if fine then mechanisms, err = shake_hands(sock) end
  if mechanisms and not mechanisms.PLAIN then
    mechanisms, err = nil, "dovecot: auth_mechanisms has no plain"
  end
  if mechanisms then return sock end
  sock:close()
  return nil, err
end

-- Replies ---------------------------------------------------------------------

local Connection = {}
Connection.__index = Connection

local function answer(self, request, result, err)
  self.waiting[request.id] = nil
  self.count = self.count - 1
  request.result, request.err = result, err
  request.gate:open()
end

--- Nobody hears anything over it any more.
function Connection:lose(err)
  self.lost = true
  self.sock:close()
  for _, request in pairs(self.waiting) do answer(self, request, nil, err) end
end

local function take(self, line)
  local parts = split(line)
  local request = self.waiting[tonumber(parts[2]) or 0]
  if not request then return end -- of another kind, or too late
  if parts[1] == "OK" or parts[1] == "FAIL" then
    answer(self, request, { ok = parts[1] == "OK", fields = named(parts, 3) })
  elseif parts[1] == "CONT" then
    answer(self, request, nil, "dovecot: a challenge, where PLAIN has none")
  end
end

local function take_all(self, bytes)
  local input = self.input .. bytes
  local at = 1
  for line, behind in input:gmatch "([^\n]*)\n()" do
    take(self, line)
    at = behind
  end
  self.input = input:sub(at)
  return #self.input <= BYTES_MAX
end

--- When the next one is too late; what is already is told so.
local function expire(self)
  local next_one = math.huge
  for _, request in pairs(self.waiting) do
    if request.expires <= core.now() then
      answer(self, request, nil, "dovecot: timed out")
    else
      next_one = math.min(next_one, request.expires)
    end
  end
  return next_one
end

local function receive(self)
  local stop = core.now() + READER_SECONDS
  while true do
    local until_when = math.min(expire(self), stop)
    if self.count == 0 or core.now() >= stop then return end
    self.sock:settimeout(math.max(until_when - core.now(), 0.001))
    local bytes, err = self.sock:receiveany(BYTES_MAX)
    if not bytes and err.kind ~= "timeout" then return self:lose(err) end
    if not take_all(self, bytes or "") then return self:lose "dovecot: a line without an end" end
  end
end

--- Whether somebody receives; his gate opens with his end, whatever that is.
local function is_read(self) return self.reader and not self.reader:is_open() end

local read

--- Has somebody receive; false, err.
local function ensure_reader(self)
  if is_read(self) or self.starting or self.count == 0 or self.lost then return true end
  self.starting = true
  local begun, err = core.detach(read, self)
  if not begun then self.starting = false end
  return begun, err
end

function read(self)
  self.starting = false
  self.reader = core.gate()
  local fine, err = pcall(receive, self)
  self.reader:open()
  if fine then fine, err = ensure_reader(self) end
  if not fine and not self.lost then self:lose(err) end
end

-- Questions -------------------------------------------------------------------

--- Sends all; false, err.
local function send(self, parts)
  if self.sending then return false, "dovecot: it does not read" end
  self.sending = not is_read(self) -- beside a receive it never waits
  local sent, err = self.sock:send(parts)
  self.sending = false
  if sent then return true end
  if not is_read(self) then self:lose(err) end
  return false, err
end

--- Asks with a line's fields and the response of PLAIN, a Secret: { ok =, fields = }, or nil, err,
-- and whether it was lost since it had been idle.
function Connection:ask(fields, response, timeout)
  if self.count >= WAITING_MAX then return nil, "dovecot: too many are waiting" end
  local idle = self.count == 0 and self.last > 0
  local request = { id = self.last + 1, gate = core.gate(), expires = core.now() + timeout }
  self.last = request.id
  self.waiting[request.id] = request
  self.count = self.count + 1
  local fine, err = send(self, { "AUTH\t", tostring(request.id), "\tPLAIN\t",
    table.concat(fields, "\t"), "\tresp=", response, "\n" })
  if fine then fine, err = ensure_reader(self) end
  if not fine then
    if self.waiting[request.id] then answer(self, request) end
    return nil, err, idle
  end
  request.gate:wait()
  return request.result, request.err, idle and self.lost
end

--- Opens one; or nil, err.
function connection.open(path, timeout)
  local sock, err = connect(path, timeout)
  if not sock then return nil, err end
  return setmetatable({ sock = sock, waiting = {}, count = 0, last = 0, input = "" }, Connection)
end

return connection
