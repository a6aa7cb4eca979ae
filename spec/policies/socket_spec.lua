--- moongate.socket: connections of a policy's own.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local modules = require "spec.support.modules"
local posix_socket = require "posix.sys.socket"
local tcp = require "spec.support.tcp"
local unistd = require "posix.unistd"
local upstream = require "spec.support.upstream"

--- Answers each datagram with "pong" and "more".
local function udp_peer()
  local fd = posix_socket.socket(posix_socket.AF_INET, posix_socket.SOCK_DGRAM, 0)
  posix_socket.bind(fd, { family = posix_socket.AF_INET, addr = "127.0.0.1", port = 0 })
  loop.watch(fd, { reading = true, on_readable = function()
    local said, from = posix_socket.recvfrom(fd, 100)
    if said ~= "ping" then return end
    posix_socket.sendto(fd, "pong", from)
    posix_socket.sendto(fd, "more", from)
  end })
  return { port = tcp.port(fd), stop = function()
    loop.forget(fd)
    unistd.close(fd)
  end }
end

describe("socket", function()
  local run, server, script, datagrams

  local CONNECT = "local s = socket.tcp() assert(s:connect('127.0.0.1', PORT)) "
  local BODIES = {
    lines = CONNECT .. [[
      assert(s:send { "hello ", 5, { "\r\n" } } == 9)
      local first, second = s:receive(), s:receive "*l"
      s:close()
      return first, second]],
    bytes = CONNECT .. "return s:receive(5), s:receive(3)",
    all = CONNECT .. "return s:receive '*a'",
    any = CONNECT .. "return s:receiveany(100)",
    until_mark = CONNECT .. [[
      local next_part = s:receiveuntil "--"
      return next_part(), next_part()]],
    cut = CONNECT .. [[
      local data, err, partial = s:receive(100)
      return data, err.kind .. " " .. partial]],
    quick = CONNECT .. [[
      s:settimeout(0.2)
      local data, err = s:receive()
      return data, err.kind]],
    secret = CONNECT .. [[assert(s:send(credentials.password)) return s:receive()]],
    endless = CONNECT .. [[local data, err = s:receive() return data, err.kind]],
    closed = [[local s = socket.tcp() local ok, err = s:send "x" return ok, err.kind]],
    refused = [[local ok, err = socket.tcp():connect("127.0.0.1", 1) return ok, err.kind]],
    port = [[return socket.tcp():connect("127.0.0.1", 70000)]],
    nothing = CONNECT .. "return s:send(function() end)",
    collected = [[
      assert(socket.tcp():connect("127.0.0.1", PORT))
      return "fine"]],
    hangs = CONNECT .. "return s:receive()",
    kept = CONNECT .. [[
      assert(s:send "a\r\n") s:receive()
      assert(s:setkeepalive(60))
      local ok, err = s:send "b"
      assert(not ok and err.kind == "closed")
      s = socket.tcp() assert(s:connect("127.0.0.1", PORT))
      s:send "c\r\n"
      return s:getreusedtimes(), s:receive()]],
    named = CONNECT .. [[
      s:setkeepalive()
      s = socket.tcp() assert(s:connect("127.0.0.1", PORT, { pool = "other" }))
      return s:getreusedtimes()]],
    small = [[
      local all = {}
      for i = 1, 3 do
        all[i] = socket.tcp()
        assert(all[i]:connect("127.0.0.1", PORT, { pool_size = 2, pool = "p" }))
      end
      for i = 1, 3 do assert(all[i]:setkeepalive(60, 2)) end
      local reused = 0
      for i = 1, 3 do
        all[i] = socket.tcp() assert(all[i]:connect("127.0.0.1", PORT, { pool = "p" }))
        reused = reused + all[i]:getreusedtimes()
      end
      return reused]],
    queued = [[
      local options = { pool = "q", pool_size = 1, backlog = 1 }
      local first, second, third = socket.tcp(), socket.tcp(), socket.tcp()
      assert(first:connect("127.0.0.1", PORT, options))
      local waiting = moongate.spawn(function()
        assert(second:connect("127.0.0.1", PORT, options))
        return second:getreusedtimes()
      end)
      local ok, err = third:connect("127.0.0.1", PORT, options)
      assert(first:setkeepalive(60))
      return err.kind, waiting:wait()]],
    impatient = [[
      local options = { pool = "i", pool_size = 1, backlog = 9 }
      local first, second = socket.tcp(), socket.tcp()
      assert(first:connect("127.0.0.1", PORT, options))
      second:settimeout(0.05)
      local ok, err = second:connect("127.0.0.1", PORT, options)
      return err.kind]],
    freed = [[
      local options = { pool = "f", pool_size = 1, backlog = 9 }
      local first, second = socket.tcp(), socket.tcp()
      assert(first:connect("127.0.0.1", PORT, options))
      local waiting = moongate.spawn(function()
        return tostring(second:connect("127.0.0.1", PORT, options)), second:getreusedtimes()
      end)
      first:close()
      return waiting:wait()]],
    abandoned = [[
      local options = { pool = "a", pool_size = 1, backlog = 9 }
      local first, second = socket.tcp(), socket.tcp()
      assert(first:connect("127.0.0.1", PORT, options))
      local waiting = moongate.spawn(function() second:connect("127.0.0.1", PORT, options) end)
      assert(waiting:cancel() and not waiting:cancel())
      first:close()
      assert(second:connect("127.0.0.1", PORT, options))
      return tostring(pcall(waiting.wait, waiting))]],
    leaves = CONNECT .. "return s:setkeepalive(60)",
    after_close = CONNECT .. "return s:getreusedtimes()",
    datagrams = [[
      local u = socket.udp()
      assert(u:setpeername("127.0.0.1", UDP))
      assert(u:send { "pi", "ng" })
      return u:receive(), u:receive(2)]],
    no_datagram = [[
      local u = socket.udp()
      u:settimeout(0.05)
      assert(u:setpeername("127.0.0.1", UDP))
      local data, err = u:receive()
      return data, err.kind]],
    unreachable = [[
      local u = socket.udp()
      assert(u:setpeername("127.0.0.1", 1))
      u:send "x"
      local data, err = u:receive()
      return data, err.kind]],
    no_peer = [[local ok, err = socket.udp():send "x" return ok, err.kind]],
    by_name = [[return socket.udp():setpeername("localhost", 53)]],
  }

  setup(function()
    datagrams = udp_peer()
    server = upstream.start { name = "server", script = function(peer) return script(peer) end }
    run = modules.start { bodies = BODIES,
      top = ("local PORT, UDP = %d, %d"):format(server.port, datagrams.port) }
  end)
  after_each(function()
    client.discard_all()
    server:clear()
  end)
  teardown(function()
    datagrams.stop()
    server:stop()
    run.stop()
  end)

  local function says(bytes, stay)
    script = function(peer)
      peer:send(bytes)
      peer:flush()
      if not stay then peer:close() end
    end
  end

  it("sends strings, numbers and tables, and receives lines", function()
    script = function(peer)
      peer:expect "^hello 5$"
      peer:send_slowly "one\r\ntwo\n"
    end
    assert.equal("one | two", run "lines")
  end)

  it("receives so many bytes, everything, or anything", function()
    says("12345678", true)
    assert.equal("12345 | 678", run "bytes")
    says(("x"):rep(300))
    assert.equal(("x"):rep(300), run "all")
    says("few", true)
    assert.equal("few", run "any")
  end)

  it("receives up to a mark", function()
    script = function(peer) peer:send_slowly "a-b--c--" end
    assert.equal("a-b | c", run "until_mark")
  end)

  it("sends Secrets", function()
    script = function(peer)
      assert(peer:read(6) == "secret")
      peer:send_line "taken"
    end
    assert.equal("taken", run "secret")
  end)

  it("gives what came before a failure", function()
    says "part"
    assert.equal("nil | closed part", run "cut")
  end)

  it("gives failures their kind", function()
    says("", true)
    assert.equal("nil | timeout", run "quick")
    assert.equal("nil | connect", run "refused")
    assert.equal("nil | closed", run "closed")
  end)

  it("takes no line longer than 1 MiB", function()
    says(("x"):rep(1100000), true)
    assert.equal("nil | protocol", run "endless")
  end)

  it("raises for wrong arguments", function()
    says("", true)
    assert.truthy(run "port":find "^ERROR: .*a port is from 1 to 65535")
    assert.truthy(run "nothing":find "^ERROR: .*a string, Secret or table")
  end)

  it("lives as long as it is waited for, though nobody holds it", function()
    says("", true)
    assert.equal("fine", run "collected")
  end)

  it("is closed when its client is gone", function()
    says("", true)
    local c = run.begin "hangs"
    local peer = server:peer(1)
    c:reset()
    loop.wait("the end of it", function() return peer.ended end, 4) -- its own timeout: 5
  end)

  describe("connections that are kept", function()
    before_each(function()
      script = function(peer)
        pcall(function() while true do peer:send_line(peer:expect "^(.*)$") end end)
      end
    end)

    it("are taken by the next one", function()
      assert.equal("1 | c", run "kept")
      assert.equal(1, server:open_count())
    end)

    it("belong to the pool of their name, which has a size", function()
      assert.equal("0", run "named")
      assert.equal("2", run "small")
    end)

    it("are waited for where the pool may have no more", function()
      assert.equal("overload | 1", run "queued")
      assert.equal("timeout", run "impatient")
      assert.equal("true | 0", run "freed")
      assert.equal("false", run "abandoned")
    end)

    it("are forgotten when the peer closes them, or says something", function()
      for _, ending in ipairs { function(peer) peer:close() end,
        function(peer) peer:send "?" peer:flush() end } do
        local told
        script = function(peer) loop.wait("the word", function() return told end) ending(peer) end
        assert.equal("true", run "leaves")
        local peer = server:peer(1)
        told = true
        loop.wait("the end of it", function() return peer.ended end, 5)
        assert.equal("0", run "after_close")
        server:clear()
      end
    end)
  end)

  it("sends and receives datagrams", function()
    assert.equal("pong | mo", run "datagrams")
    assert.equal("nil | timeout", run "no_datagram")
    assert.equal("nil | connect", run "unreachable")
    assert.equal("nil | closed", run "no_peer")
    assert.matches("^ERROR: .*an IP address", run "by_name")
  end)
end)
