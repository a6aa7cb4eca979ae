local by_hand = require "spec.support.client"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local site = require "spec.support.site"
local socket = require "socket"
local stat = require "posix.sys.stat"

local function start(options)
  local server, port = pop3.upstream()
  local head = ("  workers = 2,\n  shutdown_timeout = %s,"):format(options.timeout or 20)
  local g = gateway.start { files = pop3.files(options.listeners or { pop3 = "127.0.0.1:0" }, head,
    "127.0.0.1:" .. port) }
  return g, server
end

local function term(g, name) signal.kill(g.process.pid, signal[name or "SIGTERM"]) end

--- Whether nobody listens any more.
local function refuses(port)
  local connection = socket.connect("127.0.0.1", port)
  if connection then connection:close() end
  return not connection
end

describe("stopping", function()
  it("ends at once and with 0 when there is no session", function()
    for _, name in ipairs { "SIGTERM", "SIGQUIT", "SIGINT" } do
      local g = start {}
      term(g, name)
      assert.equal(0, (g.process:wait(10))) -- of the twenty seconds that it may take
      g:remove()
    end
  end)

  it("says goodbye to clients that have not logged in", function()
    local g = start {}
    local client = pop3.connect(g.ports.pop3)
    term(g)
    assert.matches("^%-ERR", client:receive "*l")
    assert.is_nil(client:receive "*l")
    client:close()
    assert.equal(0, (g.process:wait(5)))
    assert.matches("end=shutdown", g:log())
    g:remove()
  end)

  it("says it in each protocol's words, whatever the client was about to say", function()
    local g = site.start {
      listen = { imap = { protocol = "imap" }, smtp = { protocol = "smtp" },
        pop3 = { protocol = "pop3" } },
      users = {},
      more = "shutdown_timeout = 20,",
    }
    local waiting, busy = {}, {}
    for name, greeting in pairs { imap = "^%* OK", smtp = "^220 ", pop3 = "^%+OK" } do
      waiting[name] = by_hand.connect(g.ports[name])
      waiting[name]:expect(greeting)
      busy[name] = by_hand.connect(g.ports[name])
      busy[name]:expect(greeting)
    end
    busy.imap:send_line("a LOGIN {3}"):expect "^%+"
    busy.smtp:send_line("AUTH PLAIN"):expect "^334"
    busy.pop3:send_line("AUTH PLAIN"):expect "^%+"
    term(g)
    for _, clients in ipairs { waiting, busy } do
      clients.imap:expect "^%* BYE"
      clients.smtp:expect "^421 4%.3%.2"
      clients.pop3:expect "^%-ERR %[SYS/TEMP%]"
      for _, c in pairs(clients) do c:expect_end "eof" end
    end
    by_hand.discard_all()
    assert.equal(0, (g.process:wait(10)))
    g:remove()
  end)

  it("lets relayed sessions go on until they end, and accepts no more", function()
    local g, server = start {}
    local client, upstream = pop3.login(g.ports.pop3, server)
    term(g)
    processes.eventually(function() return refuses(g.ports.pop3) end, 5)
    client:send "STAT\r\n"
    assert.equal("STAT", upstream:receive "*l")
    upstream:send "+OK 1 2\r\n"
    assert.equal("+OK 1 2", client:receive "*l")
    assert.is_true(g.process:is_running())
    upstream:close()
    assert.is_nil(client:receive "*l")
    client:close()
    assert.equal(0, (g.process:wait(5)))
    g:remove()
  end)

  it("ends relayed sessions after shutdown_timeout", function()
    local g, server = start { timeout = 0.5 }
    local client = pop3.login(g.ports.pop3, server)
    local began = socket.gettime()
    term(g)
    assert.is_nil(client:receive "*l")
    assert.equal(0, (g.process:wait(8)))
    assert.is_true(socket.gettime() - began >= 0.45)
    assert.matches("end=shutdown", g:log())
    g:remove()
  end)

  it("ends at once with a second signal", function()
    local g, server = start { timeout = 60 }
    local client = pop3.login(g.ports.pop3, server)
    term(g)
    processes.eventually(function() return refuses(g.ports.pop3) end, 5)
    term(g)
    assert.is_nil(client:receive "*l")
    assert.equal(0, (g.process:wait(3)))
    g:remove()
  end)

  it("does not wait for a worker that hangs", function()
    local g = start { timeout = 60 }
    signal.kill(processes.children(g.process.pid)[1], signal.SIGSTOP)
    term(g)
    g.process:expect "stopping within"
    term(g)
    assert.equal(0, (g.process:wait(5)))
    g:remove()
  end)

  it("removes the file of a unix listener", function()
    local path = os.tmpname()
    os.remove(path)
    local g = start { listeners = { file = "unix:" .. path } }
    assert.is_table(stat.lstat(path))
    g:stop()
    assert.is_nil(stat.lstat(path))
  end)
end)
