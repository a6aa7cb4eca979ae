--- The control process: who may ask, who it is, and that nothing of it touches the service.
local child = require "spec.support.child"
local client = require "spec.support.client"
local control = require "spec.support.control"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local socket = require "socket"
local stat = require "posix.sys.stat"

local path

local function start(workers, more, options)
  local section
  path, section = control.place(more)
  return gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" },
    ("  workers = %d, %s %s"):format(workers, section, options or "")) }
end

local function stop(g)
  client.discard_all()
  g:stop()
  control.remove(path)
end

--- The number of the control process.
local function process_of(g)
  for _, pid in ipairs(processes.children(g.process.pid)) do
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    local words = file and file:read "*a" or ""
    if file then file:close() end
    if words:find "@control" then return pid end
  end
end

local function is_served(g)
  local c, greeting = pop3.connect(g.ports.pop3)
  assert.matches("^%+OK", greeting)
  c:close()
end

local function permissions(name)
  local s = stat.stat(name)
  return ("%o %d %d"):format(s.st_mode % 512, s.st_uid, s.st_gid)
end

--- How many descriptors a process has open.
local function open_files(pid)
  local count = 0
  for _ in io.popen(("ls /proc/%d/fd"):format(pid)):lines() do count = count + 1 end
  return count
end

describe("the control process", function()
  local g
  setup(function()
    g = start(2, "", 'user = "daemon",')
    assert.equal(200, select(2, control.get(path, "/v1/status"))) -- it has started
  end)
  teardown(function() stop(g) end)

  it("serves a socket that only its owner may open", function()
    assert.equal("600 0 0", permissions(path))
  end)

  it("runs as the configured user, without capabilities", function()
    local status = processes.status(process_of(g))
    assert.equal("1\t1\t1\t1", status.Uid)
    for _, set in ipairs { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" } do
      assert.matches("^0+$", status[set])
    end
    assert.equal("1", status.NoNewPrivs)
  end)

  it("tells what the supervisor and the workers know", function()
    local status = control.get(path, "/v1/status")
    assert.equal("running", status.state)
    assert.equal(g.process.pid, status.pid)
    assert.equal(2, #status.workers)
    assert.equal("ready", status.workers[2].state)
    assert.equal(1, status.workers[2].generation)
    assert.equal("127.0.0.1:" .. g.ports.pop3, status.listeners[1].address)
    assert.equal("start", status.generations[1].reason)
  end)

  it("counts for all workers together", function()
    local answer, status = control.get(path, "/v1/counters")
    assert.equal(200, status)
    assert.equal("table", type(answer.counters))
    assert.same({}, answer.missing)
  end)

  it("says what is wrong with a request", function()
    local function refused(status, pattern, ...)
      local answer, got = control.ask(path, ...)
      assert.equal(status, got)
      assert.matches(pattern, answer.error)
    end
    refused(404, "no such path", "GET", "/v1/nothing")
    refused(404, "no such path", "GET", "/" .. ("x"):rep(1000))
    refused(405, "another method", "POST", "/v1/status")
    refused(405, "another method", "GET", "/v1/kick")
    refused(400, "\"nobody\": there is no such filter", "GET", "/v1/sessions?nobody=1")
    refused(400, "ip: \"1.2.3\" is no address", "GET", "/v1/sessions?ip=1.2.3")
    refused(400, "phase: ", "GET", "/v1/sessions?phase=asleep")
    refused(400, "protocol: ", "GET", "/v1/sessions?protocol=nntp")
    refused(400, "user: it is empty", "GET", "/v1/sessions?user=")
    refused(400, "user: it is too long", "GET", "/v1/sessions?user=" .. ("x"):rep(600))
    refused(400, "user: a control character", "GET", "/v1/sessions?user=ann%00bob")
    refused(400, "whom", "POST", "/v1/kick", "{}")
    refused(400, "no JSON object", "POST", "/v1/kick", "[")
    refused(400, "more than texts", "POST", "/v1/kick", '{"user":1}')
    refused(400, "reason", "POST", "/v1/kick",
      ('{"user":"ann","reason":"%s"}'):format(("x"):rep(300)))
    refused(400, "no such filter", "GET", "/v1/sessions?reason=x")
    refused(400, "from and to", "GET", "/v1/diff?from=1")
    refused(400, "from and to", "GET", "/v1/diff?from=1&to=4294967297")
    refused(400, "generation", "POST", "/v1/rollback?generation=-1")
    refused(409, "not kept", "POST", "/v1/rollback?generation=7")
    refused(409, "generation 9 is not kept", "GET", "/v1/diff?from=1&to=9")
  end)

  it("breaks off what is no HTTP, or too much", function()
    for _, text in ipairs {
      "a LOGIN ann secret\r\n\r\n",
      "GET / HTTP/1.1\r\nx: " .. ("y"):rep(100000) .. "\r\n\r\n",
      "POST /v1/kick HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n" .. ("z"):rep(40000),
      "POST /v1/kick HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      ("\0"):rep(100000),
      "GET /v1/status\0 HTTP/1.1\r\nHost: \0\r\n\r\n\0",
      "POST /v1/kick HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" .. ("\0"):rep(9),
    } do
      local c = control.connect(path)
      c:send(text)
      c:half_close()
      require("spec.support.loop").wait("the end of it", function() return c.ended end)
      c:discard()
    end
    assert.equal("running", control.get(path, "/v1/status").state)
  end)

  it("answers a client that has closed its own direction", function()
    local c = control.connect(path)
    c:send "GET /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    c:half_close()
    c:expect "^HTTP/1.1 200"
    c:discard()
  end)

  it("follows all workers for a client, until that one goes", function()
    local pid = process_of(g)
    local c = control.connect(path)
    c:send "GET /v1/trace?user=ann HTTP/1.1\r\nHost: x\r\n\r\n"
    c:expect_until "^$"
    c:read_line() -- the chunk's size
    c:expect '^{"watching":2}\n?$'
    local during = open_files(pid)
    c:discard()
    processes.eventually(function() return open_files(pid) < during end, 10)
  end)

  it("opens no file", function()
    local trace = child.start { "strace", "-f", "-e", "trace=accept4,open,openat,openat2,creat",
      "-p", tostring(process_of(g)), log = g.folder .. "/trace" }
    trace:expect "attached"
    local answer = control.ask(path, "POST", "/v1/reload")
    assert.matches("^generation 2 serves", answer.text)
    for _, target in ipairs { "status", "sessions", "counters", "diff?from=1&to=2", "nothing" } do
      control.get(path, "/v1/" .. target)
    end
    control.ask(path, "POST", "/v1/kick", '{"user":"nobody"}')
    trace:stop()
    assert.matches("accept4%(", trace:output())
    for _, name in ipairs { "open", "openat", "openat2", "creat" } do
      assert.not_matches("%f[%w]" .. name .. "%(", trace:output())
    end
  end)

  it("is not held up by clients that read nothing", function()
    local deaf = {}
    for i = 1, 5 do
      deaf[i] = control.connect(path)
      deaf[i]:pause()
      deaf[i]:send(("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"):rep(2000))
    end
    for _ = 1, 3 do assert.equal("running", control.get(path, "/v1/status").state) end
    is_served(g)
    for _, c in ipairs(deaf) do c:discard() end
  end)

  it("is started again when it dies, and sessions notice nothing", function()
    local c = pop3.connect(g.ports.pop3)
    local old = process_of(g)
    signal.kill(old, signal.SIGKILL)
    is_served(g)
    local answer = control.eventually(path, function(status)
      return status.workers[1].sessions and status
    end)
    assert.not_equal(old, process_of(g))
    assert.equal(0, answer.workers[1].restarts)
    assert.matches("^%+OK", pop3.ask(c, "NOOP"))
    assert.equal(1, control.get(path, "/v1/sessions").count)
    c:close()
    assert.matches("the control process %(%d+%) died of signal 9", g:log())
  end)

  it("lists the rest when a worker dies or is stuck", function()
    local clients = {}
    for i = 1, 20 do clients[i] = pop3.connect(g.ports.pop3) end
    local workers = control.get(path, "/v1/status").workers
    signal.kill(workers[1].pid, signal.SIGSTOP)
    local answer = control.get(path, "/v1/sessions?protocol=pop3")
    assert.same({ 1 }, answer.missing)
    assert.equal(answer.count, #answer.sessions)
    assert.is_true(answer.count > 0)
    for _, session in ipairs(answer.sessions) do assert.equal(2, session.worker) end

    signal.kill(workers[1].pid, signal.SIGKILL)
    control.eventually(path, function(status)
      return status.workers[1].sessions and status.workers[1].restarts == 1
    end)
    answer = control.get(path, "/v1/sessions")
    assert.same({}, answer.missing)
    for _, session in ipairs(answer.sessions) do assert.equal(2, session.worker) end
    for _, c in ipairs(clients) do c:close() end
  end)
end)

describe("the control socket", function()
  it("gets the mode and the group that are configured", function()
    local g = start(1, 'mode = "0660", owner = "daemon", group = "nogroup"')
    assert.equal("660 1 65534", permissions(path))
    stop(g)
    assert.is_nil(stat.stat(path))
  end)

  it("replaces the file that a gateway left which was killed, but no living one", function()
    local section
    path, section = control.place()
    local files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1, " .. section)
    local first = gateway.start { files = files }
    local fine, message = pcall(gateway.start, { files = files })
    assert.is_false(fine)
    assert.matches("control: bind unix:.*Address already in use", message)
    assert.equal("running", control.get(path, "/v1/status").state)

    first.process:stop(signal.SIGKILL)
    first:remove()
    assert.truthy(stat.stat(path))
    stop(gateway.start { files = files })
  end)

  it("stays as it is when the gateway reloads", function()
    local g = start(1)
    local other, section = control.place()
    finally(function() control.remove(other) end)
    g:write("moongate.lua", pop3.files({ pop3 = "127.0.0.1:0" },
      "  workers = 1, " .. section)["moongate.lua"])
    local answer, status = control.ask(path, "POST", "/v1/reload")
    assert.equal(409, status)
    assert.matches("control: needs a restart", answer.error)
    stop(g)
  end)

  it("is served until the last session has ended", function()
    local g = start(1)
    local c = pop3.connect(g.ports.pop3)
    control.get(path, "/v1/status") -- it is there
    local pid = process_of(g)
    signal.kill(g.process.pid, signal.SIGSTOP)
    signal.kill(g.process.pid, signal.SIGTERM)
    c:send "AUTH PLAIN\r\n"
    assert.matches("^%+", c:receive "*l")
    signal.kill(g.process.pid, signal.SIGCONT)
    control.eventually(path, function(answer) return answer.state == "draining" end)
    assert.is_true(processes.status(pid) ~= nil)
    c:close()
    assert.equal(0, (g.process:wait(10)))
    assert.is_nil(stat.stat(path))
    g:remove()
    control.remove(path)
  end)

  it("is given up with a process that is stuck", function()
    local g = start(1)
    control.get(path, "/v1/status") -- it is there
    signal.kill(process_of(g), signal.SIGSTOP)
    stop(g)
  end)

  it("is not there unless it is configured", function()
    local g = gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1,") }
    assert.is_nil(process_of(g))
    g:stop()
  end)

  it("needs a user that exists, an absolute path and a mode", function()
    for options, message in pairs {
      ['owner = "no-such-user"'] = 'control: user "no%-such%-user" does not exist',
      ['group = "no-such-group"'] = 'control: group "no%-such%-group" does not exist',
      ['socket = "control.sock"'] = "control.socket: an absolute path",
      ['mode = "rw"'] = "control.mode: three octal digits",
      ['mode = "000"'] = "control.mode: three octal digits",
    } do
      local fine, text = pcall(gateway.start, { files = pop3.files({ pop3 = "127.0.0.1:0" },
        ("  control = { %s },"):format(options)) })
      assert.is_false(fine)
      assert.matches(message, text)
    end
  end)
end)

describe("whoever follows", function()
  local g
  before_each(function() g = start(1) end)
  after_each(function() stop(g) end)

  --- A follower; it reads nothing from now on.
  local function follow()
    local c = control.connect(path)
    c:send "GET /v1/trace HTTP/1.1\r\nHost: x\r\n\r\n"
    c:expect_until '^{"watching":1}'
    c:pause()
    return c
  end

  --- Makes some megabytes of events.
  local function talk()
    local c = client.connect(g.ports.pop3)
    c:expect "^%+OK"
    for _ = 1, 25 do
      c:send(("CAPA\r\n"):rep(100))
      for _ = 1, 100 do c:expect_until "^%.$" end
    end
    c:close()
  end

  it("and reads too little is told how much is lost", function()
    local follower = follow()
    talk()
    follower:resume()
    local lost = follower:expect_until '{"lost":(%d+)}'
    assert.is_true(tonumber(lost) > 0)
    is_served(g)
  end)

  it("holds up nobody when control is stuck, which is dropped and taken up again", function()
    local follower = follow()
    local pid = process_of(g)
    signal.kill(pid, signal.SIGSTOP)
    talk()
    g:expect_log("(the control process does not read what it asked for)", 30)
    is_served(g)
    signal.kill(pid, signal.SIGCONT)
    control.eventually(path, function(status) return status.workers[1].sessions end)
    assert.equal(pid, process_of(g))
    follower:resume()
    local answer = control.get(path, "/v1/sessions")
    assert.same({}, answer.missing)
  end)
end)

describe("a list of sessions", function()
  it("is complete, however many there are", function()
    local g = start(2)
    -- One that reads none of what it asks for, again and again, is no hindrance.
    local deaf = control.connect(path)
    deaf:pause()
    local clients = {}
    for i = 1, 2000 do clients[i] = assert(socket.connect("127.0.0.1", g.ports.pop3)) end
    control.eventually(path, function(status) return status.sessions == 2000 end)
    deaf:send(("GET /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n"):rep(50))
    local answer = control.get(path, "/v1/sessions")
    assert.equal(2000, answer.count)
    local seen, distinct = {}, 0
    for _, session in ipairs(answer.sessions) do
      if not seen[session.client] then distinct = distinct + 1 end
      seen[session.client] = true
    end
    assert.equal(2000, distinct)
    for _, c in ipairs(clients) do
      local ip, port = c:getsockname()
      assert.is_true(seen[ip .. ":" .. port])
      c:close()
    end
    deaf:discard()
    stop(g)
  end)
end)
