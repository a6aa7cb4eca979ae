--- What a login and a relayed session cost, counted: the same on every machine. What takes time is
-- measured by scripts/dev/bench.
local child = require "spec.support.child"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local processes = require "spec.support.processes"
local shipped = require "spec.support.shipped"
local signal = require "posix.signal"
local upstream = require "spec.support.upstream"

local LOGINS, SESSIONS, MIB = 4, 5, 1048576

--- The most, from accept to the end, of one plain login with NOOP and LOGOUT; core/PERFORMANCE.md
-- says why each is there. Without epoll_wait, one of which has the news of many sessions.
local CALLS = {
  accept4 = 2, -- the second finds nobody; under load one in 64 does
  close = 2,
  connect = 1,
  epoll_ctl = 4,
  getsockname = 1, -- port 0: else what the configuration says is what it is
  recvfrom = 10,
  sendto = 8,
  shutdown = 1,
  socket = 1,
}

local GREETING = "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN] ready"

local function relay(peer)
  for line in function() return peer:read_line(false) end do
    local tag, verb = line:match "^(%S+) (%S+)"
    if verb == "FETCH" then
      peer:send(("x"):rep(MIB))
    elseif verb == "LOGOUT" then
      peer:send_line("* BYE bye\r\n" .. tag .. " OK done")
      return peer:close()
    end
    peer:send_line(tag .. " OK done")
  end
  peer:close()
end

describe("one worker, with auth_http", function()
  local gw, auth, imap, worker

  setup(function()
    imap = upstream.start { script = upstream.imap { greeting = GREETING, after = relay } }
    auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(imap.port) } }
    end }
    gw = shipped.start { policy = { "auth_http" }, listen = { imap = "" },
      settings = ("auth_http = { url = %q }"):format(auth.url) }
    worker = processes.children(gw.process.pid)[1]
  end)
  after_each(client.discard_all)
  teardown(function()
    imap:stop()
    auth:stop()
    gw:stop()
  end)

  local function log_in()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect "^a OK"
    return c
  end

  local function log_in_and_out()
    local c = log_in()
    c:send_line("b NOOP"):expect "^b OK"
    c:send_line("c LOGOUT"):expect_until "^c OK"
    c:expect_end "eof"
    c:close()
    gw:session_of(c)
  end

  --- What the loop's thread called meanwhile, by name.
  local function calls_during(what)
    local out = os.tmpname()
    local tracer = child.start { "strace", "-p", tostring(worker), "-o", out,
      "-e", "trace=!epoll_wait,epoll_pwait,sendmsg,recvmsg,futex,madvise,brk,mmap,munmap",
      log = out .. ".log" }
    tracer:expect("attached", 30)
    what()
    tracer:stop(signal.SIGINT)
    local counts = {}
    for line in io.lines(out) do
      local name = line:match "^([%w_]+)%("
      if name then counts[name] = (counts[name] or 0) + 1 end
    end
    os.remove(out)
    os.remove(out .. ".log")
    return counts
  end

  local function descriptors()
    local counts = { pipe = 0, socket = 0 }
    local _, listing = child.run { "ls", "-l", ("/proc/%d/fd"):format(worker) }
    for kind in listing:gmatch "%-> (%a+):%[" do counts[kind] = counts[kind] + 1 end
    return counts
  end

  it("makes no system call that a login does not need", function()
    log_in_and_out() -- connects to the auth server, which is kept
    local counts = calls_during(function()
      for _ = 1, LOGINS do log_in_and_out() end
      client.connect(gw.ports.imap):expect "^%* OK" -- comes after the last close
    end)
    assert.is_true(counts.recvfrom >= CALLS.recvfrom * LOGINS) -- it was seen
    for name, count in pairs(counts) do
      local each = math.floor(count / LOGINS)
      assert.is_true(each <= (CALLS[name] or 0), ("%s: %d a login"):format(name, each))
    end
  end)

  it("holds two sockets and no pipe for a relayed session, whatever it has moved", function()
    local function relayed()
      local c = log_in()
      c:send_line "b FETCH"
      c:read(MIB)
      c:expect "^b OK"
      return c
    end
    relayed()
    local one = descriptors()
    for _ = 2, SESSIONS do relayed() end
    local all = descriptors()
    assert.equal(2 * (SESSIONS - 1), all.socket - one.socket)
    assert.equal(one.pipe, all.pipe)
  end)
end)
