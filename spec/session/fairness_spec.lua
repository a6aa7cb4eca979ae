--- One worker, two sessions that always have bytes to move, and others that have little.
local child = require "spec.support.child"
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local NOOPS = 60

--- A server and a client in a process of their own: the server sends without end to whoever is
--- logged in, the client takes it all. It says so once the first megabyte has come, and tells how
--- many there were when its input ends.
local FLOOD = [[
local socket = require "socket"
local server = assert(socket.bind("127.0.0.1", 0))
io.write(select(2, server:getsockname()), "\n") io.flush()
local port = io.read "*n"
local c = assert(socket.connect("127.0.0.1", port))
c:receive "*l"
c:send "USER flood\r\nPASS secret\r\n"
local up = server:accept()
up:send "+OK\r\n"
repeat
  local line = up:receive "*l"
  up:send(line == "CAPA" and "+OK\r\nUSER\r\n.\r\n" or "+OK\r\n")
until line:match "^PASS"
up:settimeout(0)
c:settimeout(0)
local block, taken, told = ("x"):rep(1048576), 0, false
local from = 1
while true do
  local sent, _, part = up:send(block, from)
  from = (sent or part) == #block and 1 or (sent or part) + 1
  local bytes, _, rest = c:receive(1048576)
  taken = taken + #(bytes or rest or "")
  if taken > 1048576 and not told then told = io.write "flowing\n" io.flush() end
  if #(bytes or rest or "") == 0 then socket.select({ c }, nil, 0.01) end
  if io.open(arg[1]) then break end
end
io.write("took ", taken, "\n")
]]

describe("a worker with sessions that never rest", function()
  it("serves the others, and each of them about as much as the next", function()
    local script, stop = os.tmpname(), os.tmpname()
    os.remove(stop)
    local file = assert(io.open(script, "w"))
    file:write(FLOOD)
    file:close()
    local quiet = upstream.start { script = upstream.pop3() }

    local floods = {}
    for i = 1, 2 do
      local fifo = os.tmpname()
      os.remove(fifo)
      assert(os.execute("mkfifo " .. fifo) == 0)
      local holder = assert(io.open(fifo, "r+"))
      floods[i] = { fifo = fifo, holder = holder, process = child.start {
        "sh", "-c", ("exec luajit %s %s <%s"):format(script, stop, fifo), log = fifo .. ".log" } }
      floods[i].port = tonumber((floods[i].process:expect("(%d+)\n", 10)))
    end
    local gw = site.start {
      listen = {
        pop3 = { protocol = "pop3", more = ("upstream = %q,"):format(quiet.address) },
        one = { protocol = "pop3", more = ('upstream = "127.0.0.1:%d",'):format(floods[1].port) },
        two = { protocol = "pop3", more = ('upstream = "127.0.0.1:%d",'):format(floods[2].port) },
      },
      policy = "return { auth = function() return moongate.accept {} end }",
    }
    finally(function()
      for _, flood in ipairs(floods) do
        flood.process:stop(9)
        flood.holder:close()
        os.remove(flood.fifo)
        os.remove(flood.fifo .. ".log")
      end
      os.remove(script)
      os.remove(stop)
      client.discard_all()
      quiet:stop()
      gw:stop()
    end)
    for i, name in ipairs { "one", "two" } do
      floods[i].holder:write(gw.ports[name], "\n")
      floods[i].holder:flush()
    end
    for _, flood in ipairs(floods) do flood.process:expect("flowing", 10) end

    -- While both flow, another logs in and is answered each time it asks, and so are newcomers.
    local c = client.connect(gw.ports.pop3)
    c:expect "^%+OK"
    c:send_line("USER ann"):expect "^%+OK"
    c:send_line("PASS secret"):expect "^%+OK"
    for i = 1, NOOPS do
      c:send_line("NOOP"):expect "^%+OK"
      if i % 10 == 0 then client.connect(gw.ports.pop3):expect "^%+OK" end
    end
    loop.pass(0.5)
    io.open(stop, "w"):close()
    local took = {}
    for i, flood in ipairs(floods) do
      took[i] = tonumber((flood.process:expect("took (%d+)", 10)))
    end
    assert.is_true(took[1] > 8e6 and took[2] > 8e6, ("%d, %d"):format(took[1], took[2]))
    assert.is_true(took[1] < 5 * took[2] and took[2] < 5 * took[1],
      ("%d, %d"):format(took[1], took[2]))
  end)
end)
