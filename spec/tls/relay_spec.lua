--- What is relayed between two sides of TLS arrives whole, in order, and to its end.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local ffi = require "ffi"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

ffi.cdef "unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md);"
local crypto = ffi.load "libcrypto.so.3"

local MIB = 1024 * 1024
local SIZE = tonumber(os.getenv "RELAY_MIB" or 32) * MIB -- an emulated machine is slow
local IDLE = tonumber(os.getenv "RELAY_IDLE" or 300)

local function sha256(text)
  local out = ffi.new "unsigned char[32]"
  crypto.SHA256(ffi.cast("const unsigned char *", text), #text, out)
  return ffi.string(out, 32)
end

local POLICY = [=[
return { auth = function(session)
  session:log("info", "kernel=" .. tostring(session.tls.kernel))
  return moongate.accept {}
end }
]=]

--- Whether this machine's kernel can seal what is sent: kernel_spec.lua brings one that can.
local function kernel_offers()
  local file = assert(io.open "/proc/sys/net/ipv4/tcp_available_ulp")
  local words = file:read "*a"
  file:close()
  return words:find "%f[%w]tls%f[%W]" ~= nil
end

--- Bytes in which any that is lost, doubled or exchanged shows.
local function noise(size, seed)
  local words = ffi.new("uint32_t[?]", size / 4 + 1)
  for i = 0, size / 4 do words[i] = (i + seed) * 2654435761 % 4294967296 end
  return ffi.string(words, size)
end

describe("relaying TLS", function()
  local authority, gw, up, after, leaf

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { names = { "IP:127.0.0.1" } }
    up = upstream.start { script = function(peer)
      tls.start(peer, tls.server(leaf))
      if peer:attempt() then upstream.imap { after = after }(peer) end
    end }
    gw = site.start {
      more = ("tls_profiles = { default = { ca = %q } },"):format(authority.certificate),
      listen = { imap = { protocol = "imap", more = ([[upstream = %q, upstream_tls = "implicit",
        tls = { mode = "implicit", certificate = %q, key = %q }]]):format(up.address,
        leaf.certificate, leaf.key) } },
      policy = POLICY,
    }
  end)

  teardown(function()
    if up then up:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  before_each(function() after = nil end)

  after_each(function()
    client.discard_all()
    up:clear()
  end)

  local function log_in(version)
    local c = tls.connect(gw.ports.imap, { ca = authority.certificate, max = version })
    c:expect "^%* OK"
    c:send_line "a LOGIN ann secret":expect_until "^a OK"
    return c, up:peer(#up.peers)
  end

  --- Takes what comes to `c`; the function that it returns tells how much, and what.
  local function collect(c)
    local pieces, count = {}, 0
    c.plain_sink = function(bytes)
      table.insert(pieces, bytes)
      count = count + #bytes
    end
    local early = c.input
    c.input = ""
    if early ~= "" then c.plain_sink(early) end
    return function() return count end, function() return table.concat(pieces) end
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("is left to the kernel where that can do it, TLS " .. version, function()
      local c = log_in(version)
      c:send_line "b NOOP":expect "^b OK"
      local told = gw:expect_log "kernel=(%a+)"
      assert.equal(tostring(kernel_offers()), told)
    end)

    it("moves much each way and tells the ends apart, TLS " .. version, function()
      after = function() end
      local c, peer = log_in(version)
      local down, out = noise(SIZE, 1), noise(SIZE + 5, 77)
      local client_count, at_client = collect(c)
      local peer_count, at_peer = collect(peer)
      peer:send(down)
      c:send(out)
      c:half_close()
      loop.wait("all bytes", function()
        return client_count() == #down and peer_count() == #out and peer.notified
      end, 60)
      assert.equal(sha256(down), sha256(at_client()))
      assert.equal(sha256(out), sha256(at_peer()))
      assert.is_nil(c.notified)
      peer:send "the last word"
      peer:half_close()
      loop.wait("the end", function() return c.ended end)
      assert.is_true(c.notified)
      assert.equal(#down + #"the last word", client_count())
      c:discard()
      local session = gw:session_of(c)
      assert.equal("client_closed", session["end"])
      assert.equal(tostring(#out), session["in"])
    end)
  end

  it("passes on an end that comes from the upstream first", function()
    after = function(peer)
      peer:send "bye\r\n"
      peer:half_close()
      loop.wait("the client's last word", function() return peer.input ~= "" end)
    end
    local c, peer = log_in()
    c:expect "^bye"
    loop.wait("the end", function() return c.notified end)
    c:send "mine\r\n"
    loop.wait("the client's last word", function() return peer:all():find "mine\r\n" end)
    c:half_close()
    assert.equal("upstream_closed", gw:session_of(c)["end"])
  end)

  it("loses nothing that came behind the login, however it is cut into records", function()
    local LOGIN, BEHIND = "a LOGIN ann secret\r\n", "b NOOP\r\nc NOOP\r\n"
    local text = LOGIN .. BEHIND
    for cut = 1, #text - 1 do
      local c = tls.connect(gw.ports.imap)
      c:expect "^%* OK"
      c:send(text:sub(1, cut))
      c:send(text:sub(cut + 1))
      c:expect_until "^a OK"
      c:expect "^b OK"
      c:expect "^c OK"
      c:discard()
    end
    assert.equal(#text - 1, #up.peers)
  end)

  it("loses nothing that came along with the handshake", function()
    local c = client.connect(gw.ports.imap)
    tls.start(c, tls.client { first = "a LOGIN ann secret\r\nb NOOP\r\n" })
    c:expect_until "^a OK"
    c:expect "^b OK"
  end)

  it("keeps what a slow reader has not read", function()
    after = function() end
    local c, peer = log_in()
    local down = noise(SIZE / 4, 5)
    c:pause()
    peer:send(down)
    c:send_line "for the upstream"
    loop.wait("the client's line", function() return peer.input:find "upstream\r\n" end)
    local count, bytes = collect(c)
    c:resume()
    loop.wait("all", function() return count() == #down end, 30)
    assert.equal(sha256(down), sha256(bytes()))
  end)

  it("goes on after " .. IDLE .. " sessions were idle", function()
    local clients = {}
    for i = 1, IDLE do
      local c = tls.connect(gw.ports.imap)
      c:expect "^%* OK"
      c:send_line "a LOGIN ann secret"
      clients[i] = c
    end
    for _, c in ipairs(clients) do c:expect_until "^a OK" end
    assert.equal(IDLE, up:open_count())
    for i, c in ipairs(clients) do c:send_line(("n%d NOOP"):format(i)) end
    for i, c in ipairs(clients) do c:expect(("^n%d OK noop$"):format(i)) end
  end)
end)
