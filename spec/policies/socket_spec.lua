--- moongate.socket: connections of a policy's own.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local modules = require "spec.support.modules"
local upstream = require "spec.support.upstream"

describe("socket", function()
  local run, server, script

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
  }

  setup(function()
    server = upstream.start { name = "server", script = function(peer) return script(peer) end }
    run = modules.start { bodies = BODIES, top = "local PORT = " .. server.port }
  end)
  after_each(function()
    client.discard_all()
    server:clear()
  end)
  teardown(function()
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
    loop.wait("the end of it", function() return peer.ended end, 2)
  end)
end)
