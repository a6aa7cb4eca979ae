local gateway = require "spec.support.gateway"
local pki = require "spec.support.pki"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local socket = require "socket"
local ssl = require "ssl"
local stdlib = require "posix.stdlib"

local SESSIONS, RELAYED = 500, 200

local CONFIGURATION = [[
local c = require "moongate.config"
return c.gateway {
  workers = 2,
  c.listen "pop3s" {
    address = "127.0.0.1:0", protocol = "pop3", policy = "open",
    tls = { mode = "implicit", certificate = "tls/mail.pem", key = "tls/mail.key" },
  },
  c.listen "other" {
    address = "127.0.0.1:0", protocol = "pop3", policy = "open",
    tls = { mode = "implicit", certificate = "tls/other.pem", key = "tls/other.key" },
  },
}
]]

local function connect(port)
  local plain = assert(socket.connect("127.0.0.1", port))
  plain:settimeout(10)
  local client = assert(ssl.wrap(plain, { mode = "client", protocol = "any", verify = "none",
    options = "no_tlsv1" }))
  client:settimeout(10)
  assert(client:dohandshake())
  return client, assert(client:receive "*l")
end

local function serial_of(client) return tonumber(client:getpeercertificate():serial(), 16) end

local function serial_shown(port)
  local client = connect(port)
  local serial = serial_of(client)
  client:close()
  return serial
end

--- Waits, at most `seconds`, until both workers show the certificate: several times in a row.
local function await_serial(port, serial, seconds)
  local began, hits = socket.gettime(), 0
  repeat
    hits = serial_shown(port) == serial and hits + 1 or 0
    if hits == 12 then return socket.gettime() - began end
  until socket.gettime() - began > seconds
  error(("certificate %d is not shown after %d s"):format(serial, seconds))
end

describe("certificates on disk", function()
  local folder, ca, upstream, g

  --- Puts the pair `name` where the configuration's `as` is.
  local function install(name, as)
    for _, suffix in ipairs { ".key", ".pem" } do
      pki.write(g.folder .. "/tls/" .. as .. suffix, pki.read(folder .. "/" .. name .. suffix))
    end
  end

  before_each(function()
    folder = assert(stdlib.mkdtemp "/tmp/moongate-pki-XXXXXX")
    ca = pki.authority(folder)
    ca:issue "first"
    ca:issue "second"
    local port
    upstream, port = pop3.upstream()
    local files = pop3.files({}, nil, "127.0.0.1:" .. port)
    files["moongate.lua"] = CONFIGURATION
    for _, as in ipairs { "mail", "other" } do
      files["tls/" .. as .. ".pem"] = pki.read(folder .. "/first.pem")
      files["tls/" .. as .. ".key"] = pki.read(folder .. "/first.key")
    end
    g = gateway.start { files = files }
  end)

  after_each(function()
    upstream:close()
    g:stop()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  --- A client that is logged in, and the upstream's end of it.
  local function relayed()
    local client = connect(g.ports.pop3s)
    client:send "USER ann\r\nPASS secret\r\n"
    local other = pop3.accept_login(upstream)
    client:receive "*l"
    assert.matches("^%+OK", (client:receive "*l"))
    return { client = client, upstream = other }
  end

  local function echo(session)
    session.client:send "NOOP\r\n"
    assert.equal("NOOP", (session.upstream:receive "*l"))
    session.upstream:send "+OK still here\r\n"
    assert.equal("+OK still here", (session.client:receive "*l"))
  end

  it("are swapped under 500 sessions without losing one", function()
    local logged_in, greeted = {}, {}
    for i = 1, RELAYED do logged_in[i] = relayed() end
    for i = 1, SESSIONS - RELAYED do greeted[i] = connect(g.ports.pop3s) end
    local pids = processes.children(g.process.pid)
    assert.equal(1, serial_of(greeted[1]))

    local began = socket.gettime()
    install("second", "mail")
    g.process:expect("certificates: (2) listeners have new ones", 10)
    local took = socket.gettime() - began
    assert.is_true(took < 2, ("it took %.1f s"):format(took))
    await_serial(g.ports.pop3s, 2, 2)
    assert.equal(1, serial_shown(g.ports.other))

    for _, session in ipairs(logged_in) do echo(session) end
    for _, client in ipairs(greeted) do
      client:send "NOOP\r\n"
      assert.is_string((client:receive "*l"))
    end
    assert.same(pids, processes.children(g.process.pid))
    for _, session in ipairs(logged_in) do
      session.client:close()
      session.upstream:close()
    end
    for _, client in ipairs(greeted) do client:close() end
  end)

  it("that make no sense change nothing, until they do", function()
    pki.write(g.folder .. "/tls/mail.pem", pki.read(folder .. "/second.pem"))
    g.process:expect("certificates: the old ones stay: ([^\n]*key belongs to another[^\n]*)", 10)
    assert.equal(1, serial_shown(g.ports.pop3s))

    pki.write(g.folder .. "/tls/mail.pem", pki.read(folder .. "/second.pem"):sub(1, 200))
    g.process:expect("old ones stay.*(old ones stay[^\n]*mail.pem[^\n]*)", 10)
    assert.equal(1, serial_shown(g.ports.pop3s))

    os.remove(g.folder .. "/tls/mail.key")
    g.process:expect("(old ones stay[^\n]*mail.key: No such file)", 10)
    assert.equal(1, serial_shown(g.ports.pop3s))

    install("second", "mail")
    g.process:expect("(listeners have new ones)", 10)
    await_serial(g.ports.pop3s, 2, 5)
  end)

  it("are what a worker gets that is started later, with the policies of before", function()
    g:write("moongate.lua", "this is no configuration")
    g:write("scripts/open.lua", "nor a policy")
    install("second", "mail")
    g.process:expect("(listeners have new ones)", 10)
    for _, pid in ipairs(processes.children(g.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    g.process:expect("(worker %d is back.*worker %d is back)", 10)
    assert.equal(2, serial_shown(g.ports.pop3s))
    local session = relayed()
    echo(session)
    session.client:close()
    session.upstream:close()
  end)

  it("are told of before they end, once", function()
    ca:issue("short", { days = 3 })
    install("short", "mail")
    g.process:expect("(certificate tls/mail.pem: short.example expires in [23] days)", 10)
    local _, count = g:log():gsub("expires in", "")
    assert.equal(1, count)
  end)
end)
