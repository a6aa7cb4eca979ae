local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local socket = require "socket"

local function start(workers)
  return gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" },
    ('  workers = %d, shared = { limits = "1m" },'):format(workers)) }
end

local function workers_of(g) return processes.children(g.process.pid) end

--- Waits until a worker other than `old` is ready in its place.
local function wait_back(g, count)
  g.process:expect(("worker %d+ is back.*"):rep(count or 1), 10)
end

local function connect_all(port, count)
  local clients = {}
  for i = 1, count do clients[i] = pop3.connect(port) end
  return clients
end

--- Connections that the kernel has accepted and nobody else has yet.
local function queue_all(port, count)
  local clients = {}
  for i = 1, count do
    clients[i] = assert(socket.connect("127.0.0.1", port))
    clients[i]:settimeout(5)
  end
  return clients
end

local function close_all(clients)
  for _, client in ipairs(clients) do client:close() end
end

--- How many are greeted before one is not; closes them all.
local function greeted(clients)
  local count = 0
  for _, client in ipairs(clients) do
    local line = client:receive "*l"
    if not line then break end
    if line:match "^%+OK" then count = count + 1 end
  end
  close_all(clients)
  return count
end

--- Splits into those that answer and those that were ended.
local function split(clients)
  local alive, ended = {}, {}
  for _, client in ipairs(clients) do
    local answer = pop3.ask(client, "NOOP")
    table.insert(answer and alive or ended, client)
  end
  return alive, ended
end

describe("a worker that is killed", function()
  it("takes only its own sessions with it and is started again", function()
    local g = start(2)
    local first, second = unpack(workers_of(g))
    local clients = connect_all(g.ports.pop3, 40)
    signal.kill(first, signal.SIGKILL)
    wait_back(g)
    local alive, ended = split(clients)
    assert.is_true(#alive > 0 and #ended > 0)
    assert.matches(("worker 1 %%(%d%%) died of signal 9"):format(first), g:log())
    assert.is_table(processes.status(second))
    assert.equal(2, #workers_of(g))

    signal.kill(second, signal.SIGKILL)
    wait_back(g, 2)
    local left = split(alive)
    assert.equal(0, #left)
    local client, greeting = pop3.connect(g.ports.pop3)
    assert.matches("^%+OK", greeting)
    client:close()
    close_all(clients)
    g:stop()
  end)

  it("loses no connection that waits in its backlog", function()
    local g = start(1)
    local worker = workers_of(g)[1]
    signal.kill(worker, signal.SIGSTOP)
    local clients = queue_all(g.ports.pop3, 50)
    signal.kill(worker, signal.SIGKILL)
    assert.equal(50, greeted(clients))
    g:stop()
  end)

  it("loses none with neighbours either, again and again", function()
    local g = start(3)
    for i = 1, 5 do
      local pids = workers_of(g)
      for _, pid in ipairs(pids) do signal.kill(pid, signal.SIGSTOP) end
      local clients = queue_all(g.ports.pop3, 30)
      signal.kill(pids[1], signal.SIGKILL)
      for other = 2, 3 do signal.kill(pids[other], signal.SIGCONT) end
      assert.equal(30, greeted(clients))
      wait_back(g, i)
    end
    g:stop()
  end)

  it("is replaced soon, even when five are killed in a row", function()
    local g = start(1)
    for i = 1, 5 do
      local pid = processes.eventually(function() return workers_of(g)[1] end, 5)
      signal.kill(pid, signal.SIGKILL)
      assert.is_true(processes.wait_gone(pid, 5))
      g.process:expect(("error %[%d+%] worker 1 [^\n]*\n.*"):rep(i)) -- dead, or gone while told
    end
    local client = assert(socket.connect("127.0.0.1", g.ports.pop3))
    client:settimeout(10)
    assert.matches("^%+OK", client:receive "*l")
    assert.matches("starts again in 0%.[124] s", g:log())
    client:close()
    g:stop()
  end)
end)

describe("a worker that is silent", function()
  it("has its connections accepted by a neighbour, and gets them back", function()
    local g = start(2)
    local pids = workers_of(g)
    signal.kill(pids[1], signal.SIGSTOP)
    local clients = queue_all(g.ports.pop3, 20)
    assert.equal(20, greeted(clients))
    signal.kill(pids[1], signal.SIGCONT)

    signal.kill(pids[2], signal.SIGSTOP)
    clients = queue_all(g.ports.pop3, 20)
    assert.equal(20, greeted(clients))
    signal.kill(pids[2], signal.SIGCONT)
    assert.same(pids, workers_of(g))
    g:stop()
  end)
end)

describe("the supervisor", function()
  it("takes its workers with it when it is killed, even one that hangs", function()
    local g = start(2)
    local pids = workers_of(g)
    signal.kill(pids[1], signal.SIGSTOP)
    signal.kill(g.process.pid, signal.SIGKILL)
    for _, pid in ipairs(pids) do assert.is_true(processes.wait_gone(pid, 5)) end
    g:remove()
  end)

  it("is not moved by signals to its workers, except those that kill", function()
    local g = start(1)
    local client = pop3.connect(g.ports.pop3)
    local pid = workers_of(g)[1]
    for _, name in ipairs { "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGPIPE" } do
      signal.kill(pid, signal[name])
    end
    assert.matches("^%+OK", pop3.ask(client, "NOOP"))
    assert.same({ pid }, workers_of(g))
    client:close()
    g:stop()
  end)
end)

describe("a worker that is stuck in one call", function()
  -- A sort by a function in C that takes its time, thousands of times: no budget of Lua reaches
  -- there.
  local STUCK = [[
return {
  auth = function(session, credentials)
    if credentials.user == "stuck" then
      local list = {}
      for i = 1, 2000 do list[i] = "^.-.-" .. ("x"):rep(150) .. "!" .. i end
      table.sort(list, string.find)
    end
  end,
}
]]

  it("is ended and started again, and a neighbour serves meanwhile", function()
    local files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 2,")
    files["scripts/open.lua"] = STUCK
    local g = gateway.start { files = files }
    local client = pop3.connect(g.ports.pop3)
    assert.matches("^%+OK", pop3.ask(client, "USER stuck"))
    client:send "PASS x\r\n"
    assert.equal(20, greeted(queue_all(g.ports.pop3, 20)))
    g.process:expect("worker %d+ %(%d+%): killed: its loop did not turn for %d", 60)
    wait_back(g)
    client:close()
    g:stop()
  end)

  it("is left alone when it is merely not given the processor", function()
    local g = start(1)
    local pid = workers_of(g)[1]
    local client = pop3.connect(g.ports.pop3)
    signal.kill(pid, signal.SIGSTOP)
    socket.select(nil, nil, 3)
    signal.kill(pid, signal.SIGCONT)
    assert.matches("^%+OK", pop3.ask(client, "NOOP"))
    assert.same({ pid }, workers_of(g))
    client:close()
    g:stop()
  end)
end)

describe("malloc of a worker", function()
  local function tunables(prefix)
    local g = gateway.start { prefix = prefix,
      files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1,") }
    local file = assert(io.open(("/proc/%d/environ"):format(workers_of(g)[1])))
    local text = file:read "*a"
    file:close()
    g:stop()
    return text:match "GLIBC_TUNABLES=(%Z*)"
  end

  it("keeps many blocks of a size at hand", function()
    assert.matches("tcache_count=%d%d", tunables())
  end)

  it("does what the operator wants instead", function()
    local own = "glibc.malloc.tcache_count=3"
    assert.equal(own, tunables { "env", "GLIBC_TUNABLES=" .. own })
  end)
end)
