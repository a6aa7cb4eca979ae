--- The relay after the login: every byte, both ways, whoever is slow, until both have ended.
local child = require "spec.support.child"
local client = require "spec.support.client"
local ffi = require "ffi"
local loop = require "spec.support.loop"
local processes = require "spec.support.processes"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

ffi.cdef [[ unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md); ]]
local crypto = ffi.load "crypto"

local MIB = 1024 * 1024

local function sha256(text)
  local out = ffi.new "unsigned char[32]"
  crypto.SHA256(ffi.cast("const unsigned char *", text), #text, out)
  return ffi.string(out, 32)
end

--- Bytes in which any that is lost, doubled or exchanged shows.
local function noise(size, seed)
  local words = ffi.new("uint32_t[?]", size / 4 + 1)
  for i = 0, size / 4 do words[i] = (i + seed) * 2654435761 % 4294967296 end
  return ffi.string(words, size)
end

describe("a spliced connection", function()
  local gw, up

  --- A client that is logged in, and its upstream's side.
  local function pair(listener, options)
    local c = client.connect(gw.ports[listener or "imap"], options)
    c:expect "^%* OK"
    c:send_line "a LOGIN alice secret"
    c:expect_until "^a OK"
    return c, up:peer(1)
  end

  --- Takes what comes to `c`; the function that it returns tells what that was.
  local function collect(c)
    local pieces = {}
    c.sink = function(bytes) table.insert(pieces, bytes) end
    return function() return table.concat(pieces) end
  end

  setup(function()
    up = upstream.start { script = upstream.imap { after = function() end } }
    gw = site.start {
      listen = {
        imap = { protocol = "imap" },
        idle = { protocol = "imap", more = "limits = { idle_timeout = 2 }," },
      },
      users = { alice = up.address },
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  it("moves much both ways at once, byte for byte", function()
    local c, peer = pair()
    local down, out = noise(24 * MIB, 1), noise(17 * MIB + 5, 77)
    local at_client, at_upstream = collect(c), collect(peer)
    peer:send(down)
    c:send(out)
    peer:half_close()
    c:half_close()
    loop.wait("all bytes", function() return c.ended and peer.ended end, 60)
    assert.equal("eof", c.ended)
    assert.equal("eof", peer.ended)
    assert.equal(sha256(down), sha256(at_client()))
    assert.equal(sha256(out), sha256(at_upstream()))
    c:discard()
    local line = gw:session_of(c)
    assert.equal(tostring(#out), line["in"])
    assert.is_true(tonumber(line.out) >= #down)
  end)

  for _, slow in ipairs { "client", "upstream" } do
    it(("holds the other side back for a slow %s, and loses nothing"):format(slow), function()
      local c, peer = pair("imap", { receive_buffer = 4096 })
      local reader = slow == "client" and c or peer
      local writer = slow == "client" and peer or c
      local text = noise(48 * MIB, 5)
      local received = collect(reader)
      reader:pause()
      writer:send(text)
      writer:half_close()
      -- Nobody takes anything, so the writer must come to a stop long before its end.
      local before = -1
      while writer.sent_bytes ~= before do
        before = writer.sent_bytes
        loop.pass(0.2)
      end
      assert.is_true(writer.sent_bytes < 40 * MIB, "the gateway took all of it")
      reader:resume()
      loop.wait("all bytes", function() return reader.ended end, 60)
      assert.equal("eof", reader.ended)
      assert.equal(sha256(text), sha256(received()))
      c:discard()
      peer:close()
      gw:session_of(c)
    end)
  end

  it("keeps the other direction open when the client half-closes", function()
    local c, peer = pair()
    c:send "last words"
    c:half_close()
    loop.wait("the half-close", function() return peer.ended end)
    assert.equal("eof", peer.ended)
    assert.is_truthy(peer:all():find "last words$")
    peer:send "an answer\r\n"
    c:expect "^an answer"
    peer:close()
    c:expect_end "eof"
    c:discard()
    assert.is_truthy(gw:session_of(c)["end"]:find "closed$")
  end)

  it("keeps the other direction open when the upstream half-closes", function()
    local c, peer = pair()
    peer:send "last words\r\n"
    peer:half_close()
    c:expect "^last words"
    c:expect_end "eof"
    c:send "still here"
    loop.wait("the bytes", function() return peer:all():find "still here$" end)
    c:close()
    loop.wait("the end", function() return peer.ended end)
    assert.is_truthy(gw:session_of(c)["end"]:find "closed$")
  end)

  it("tells the upstream when the client's connection is lost", function()
    local c, peer = pair()
    c:reset()
    loop.wait("the upstream's end", function() return peer.ended end)
    local line = gw:session_of(c)
    assert.equal("client_gone", line["end"])
    assert.equal("splice", line.phase)
  end)

  it("tells the client when the upstream's connection is lost", function()
    local c, peer = pair()
    peer:reset()
    loop.wait("the client's end", function() return c.ended end)
    assert.equal("upstream_lost", gw:session_of(c)["end"])
  end)

  it("ends a client that vanishes while much is on its way to it", function()
    local c, peer = pair("imap", { receive_buffer = 4096 })
    c:pause()
    peer:send(noise(16 * MIB, 9))
    loop.pass(0.2)
    c:reset()
    loop.wait("the upstream's end", function() return peer.ended or peer.lost end)
    assert.equal("client_gone", gw:session_of(c)["end"])
  end)

  it("is ended when no byte moves for the idle timeout", function()
    local began = loop.now()
    local c, peer = pair "idle"
    for i = 1, 4 do -- bytes either way keep it
      loop.pass(0.7)
      if i % 2 == 0 then
        c:send "x"
      else
        peer:send "y\r\n"
        c:expect "^y"
      end
    end
    assert.is_nil(c.ended)
    loop.wait("the end", function() return c.ended and peer.ended end)
    assert.is_true(loop.now() - began > 4.6)
    assert.equal("idle", gw:session_of(c)["end"])
  end)

  it("has its bytes moved by the kernel", function()
    local trace = child.start { "strace", "-f", "-e", "trace=splice", "-p",
      tostring(processes.children(gw.process.pid)[1]), log = gw.folder .. "/trace" }
    trace:expect "attached"
    local c, peer = pair()
    local received = collect(c)
    peer:send(noise(8 * MIB, 3))
    peer:half_close()
    loop.wait("all bytes", function() return c.ended end, 60)
    trace:stop()
    assert.equal(sha256(noise(8 * MIB, 3)), sha256(received()))
    local moved = 0
    for count in trace:output():gmatch "splice%(.- = (%d+)\n" do moved = moved + count end
    assert.is_true(moved >= 2 * 4 * MIB) -- half of it, into a pipe and out
  end)

  it("never gives one session's bytes to another", function()
    local c, peer = pair("imap", { receive_buffer = 4096 })
    c:pause()
    peer:send(("A"):rep(16 * MIB))
    loop.pass(0.2)
    c:reset()
    gw:session_of(c)
    up:clear()
    local d, other = pair()
    local received = collect(d)
    other:send(("B"):rep(16 * MIB))
    other:half_close()
    loop.wait("all bytes", function() return d.ended end, 60)
    assert.equal(("B"):rep(16 * MIB), received())
    d:discard()
    gw:session_of(d)
  end)
end)
