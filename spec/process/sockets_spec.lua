--- The settings of listening sockets, as the kernel has them.
local child = require "spec.support.child"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local socket = require "socket"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local CONFIG = [[
local c = require "moongate.config"
local function listen(name, address, socket)
  return c.listen(name) { address = address, protocol = "pop3", policy = { "static" },
    upstream = "127.0.0.1:1", socket = socket }
end

return c.gateway {
  workers = 1,
  settings = { static = { upstream = "127.0.0.1:1" } },
  listen("plain", "127.0.0.1:0"),
  listen("tuned", "127.0.0.1:0", { backlog = 7, keepalive_idle = 77, keepalive_interval = 9,
    keepalive_count = 3, receive_buffer = "32k", send_buffer = "48k" }),
  listen("quiet", "127.0.0.1:0", { keepalive = false }),
  listen("six", "[::]:0"),
  listen("both", "[::]:0", { ipv6_only = false }),
  listen("file", "unix:%s", { mode = "0640", backlog = 5 }),
}
]]

describe("a listening socket", function()
  local gw
  local path = os.tmpname()

  setup(function()
    os.remove(path)
    gw = gateway.start { files = { ["moongate.lua"] = CONFIG:format(path) } }
    for name, port in gw:log():gmatch "([%w_]+)=%[::%]:(%d+)" do gw.ports[name] = tonumber(port) end
  end)
  after_each(client.discard_all)
  teardown(function() gw:stop() end)

  --- What `ss` says of the sockets at a listener's port.
  local function ss(flags, name)
    local code, text = child.run { "ss", "-H", flags, ("sport = :%d"):format(gw.ports[name]) }
    assert.equal(0, code, text)
    return text
  end

  local function backlog(name) return tonumber(ss("-ltn", name):match "LISTEN%s+%d+%s+(%d+)") end

  it("has the backlog that is set, or 511", function()
    assert.equal(7, backlog "tuned")
    local most = tonumber(io.lines "/proc/sys/net/core/somaxconn"())
    assert.equal(math.min(511, most), backlog "plain")
  end)

  --- A connection's line, with its timer.
  local function connection(name)
    client.connect(gw.ports[name]):expect "^%+OK"
    return ss("-tnoem", name)
  end

  it("gives connections keepalive, in the times that are set", function()
    local minutes, seconds = connection("tuned"):match "keepalive,(%d+)min(%d+)"
    seconds = minutes * 60 + seconds
    assert.is_true(seconds > 60 and seconds <= 77, seconds)
    assert.matches("timer:%(keepalive,", connection "plain")
    assert.is_nil(connection("quiet"):find("keepalive", 1, true))
  end)

  it("has the buffers that are set", function()
    local line = connection "tuned"
    assert.equal(65536, tonumber(line:match "rb(%d+)")) -- the kernel doubles what is asked for
    assert.equal(98304, tonumber(line:match "tb(%d+)"))
  end)

  it("takes IPv4 on [::] only where that is set", function()
    client.connect(gw.ports.both):expect "^%+OK"
    assert.is_nil((socket.connect("127.0.0.1", gw.ports.six)))
    local six = assert(socket.tcp6())
    six:settimeout(5)
    assert(six:connect("::1", gw.ports.six))
    assert.matches("^%+OK", six:receive "*l")
    six:close()
  end)

  it("is a file with the mode that is set, and its sessions are logged", function()
    assert.equal(416, stat.lstat(path).st_mode % 512) -- 0640
    local file = require "socket.unix"()
    file:settimeout(5)
    assert(file:connect(path))
    assert.matches("^%+OK", file:receive "*l")
    assert.matches("^%+OK", pop3.ask(file, "QUIT"))
    file:close()
    gw:expect_log 'client=unix:[^\n]* listener="file"[^\n]* end=client_quit'
  end)

  it("replaces the file that a killed gateway left behind, but no other file", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(stat.mkdir(folder, 493))
    local name = folder .. "/socket"
    local files = pop3.files({ pop3 = "unix:" .. name }, "  workers = 1,")
    local first = gateway.start { files = files }
    first.process:stop(9)
    first:remove()
    assert.is_table(stat.lstat(name))
    gateway.start({ files = files }):stop()

    local other = assert(io.open(name, "w"))
    other:write "precious"
    other:close()
    local fine, message = pcall(gateway.start, { files = files })
    assert.is_false(fine)
    assert.matches("in use", tostring(message))
    assert.equal("precious", io.open(name):read "*a")
    os.remove(name)
    unistd.rmdir(folder)
  end)
end)
