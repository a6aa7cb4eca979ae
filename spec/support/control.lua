--- The control socket of a gateway that a spec has started, and the commands that use it.
--
--     local g = gateway.start { files = ... }         -- with `more = control.SECTION`
--     local code, text = control.command(g, "who", "--user", "ann")
--     local answer = control.get(g, "/v1/sessions?user=ann")
local child = require "spec.support.child"
local connection = require "spec.support.connection"
local gateway = require "spec.support.gateway"
local json = require "cjson"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local tcp = require "spec.support.tcp"

local control = {}

--- A path for the socket of one gateway, in a folder of its own; and what configures it.
function control.place(more)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-control-XXXXXX")
  stat.chmod(folder, 493) -- the socket's own mode says who may open it
  local path = folder .. "/socket"
  return path, ("control = { socket = %q, %s },"):format(path, more or "")
end

--- Removes what `place` made.
function control.remove(path) os.execute("rm -rf '" .. path:match "^(.*)/" .. "'") end

--- Runs a command of the gateway's program; its exit status and all that it wrote.
function control.command(path, ...)
  return child.run { gateway.binary(), environment = { MOONGATE_SOCKET = path }, ... }
end

local count = 0

--- A connection to the socket, spoken by hand.
function control.connect(path)
  count = count + 1
  return connection.new(tcp.connect_local(path), ("control client %d"):format(count))
end

--- The body of one answer, whole or in chunks, and its status.
local function read_answer(c, seconds)
  local status = tonumber((c:expect("^HTTP/1.1 (%d+)", seconds)))
  local _, head = c:expect_until "^$"
  local fields = {}
  for _, line in ipairs(head) do
    local name, value = line:match "^([^:]+):%s*(.*)$"
    fields[name:lower()] = value
  end
  if fields["content-length"] then return c:read(tonumber(fields["content-length"])), status end
  local parts = {}
  repeat
    local size = tonumber(c:read_line(), 16)
    table.insert(parts, c:read(size))
    c:read_line()
  until size == 0
  return table.concat(parts), status
end

--- Asks once; the answer as a table, its HTTP status and its text.
function control.ask(path, method, target, body)
  local c = control.connect(path)
  c:send(("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s")
    :format(method, target, body and #body or 0, body or ""))
  local text, status = read_answer(c, 30)
  c:discard()
  return json.decode(text), status, text
end

function control.get(path, target) return control.ask(path, "GET", target) end

--- Waits until somebody answers at the socket, and returns what `done` makes of the status.
function control.eventually(path, done)
  return require("spec.support.processes").eventually(function()
    local fine, status = pcall(control.get, path, "/v1/status")
    return fine and done(status)
  end, 15)
end

return control
