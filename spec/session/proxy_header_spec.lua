--- PROXY headers through the gateway: from what is in front of it, and to upstreams.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"
local V1 = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\r\n"
local V1_IPV6 = "PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\n"
local V4 = "\192\0\2\7\198\51\100\1\18\103\0\143"

local function tlv(type, value) return string.char(type, 0, #value) .. value end

local function v2(command, family, body)
  return SIGNATURE .. string.char(command, family, 0, #body) .. body
end

local TLVS = tlv(1, "imap") .. tlv(2, "mail.example.com") .. tlv(5, "edge-1") ..
  tlv(0xE7, "other") ..
  tlv(0x20, "\3\0\0\0\0" .. tlv(0x21, "TLSv1.3") .. tlv(0x22, "ann") .. tlv(0x23, "AES"))

-- Answers any login with what it knows of the client.
local POLICY = [[
local up = moongate.settings("up", { address = "string" })
local function words(t)
  local out = {}
  for _, name in ipairs { "ip", "port", "alpn", "authority", "unique_id" } do
    out[#out + 1] = t and t[name] and tostring(t[name]) or nil
  end
  return table.concat(out, " ")
end
return {
  connect = function(session)
    if session.client.ip == "192.0.2.66" then return moongate.reject { text = "blocked" } end
  end,
  auth = function(session, credentials)
    if credentials.user == "who" then
      local proxy = session.proxy
      local by_tls = proxy and proxy.tls
      return moongate.reject { text = words(session.client) .. " by " .. words(proxy) .. " " ..
        (by_tls and by_tls.version .. by_tls.common_name .. tostring(by_tls.verified) or "") ..
        (session.origin or "") }
    end
    local version = credentials.user:match "^v%d$"
    return moongate.accept { upstream = moongate.to { address = up.address,
      proxy_protocol = version } }
  end,
}
]]

describe("a PROXY header", function()
  local gw, up, authority

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { subject = "/CN=mail.spec.test", names = { "IP:127.0.0.1" } }
    up = upstream.start { script = upstream.imap() }
    local certificate = ("certificate = %q, key = %q"):format(leaf.certificate, leaf.key)
    gw = site.start {
      more = ("settings = { up = { address = %q } },"):format(up.address),
      policy = POLICY,
      listen = {
        imap = { protocol = "imap", more = 'proxy_protocol = { from = "127.0.0.1" }' },
        elsewhere = { protocol = "imap", more = 'proxy_protocol = { from = "10.0.0.0/8" }' },
        lenient = { protocol = "imap",
          more = 'proxy_protocol = { from = "10.0.0.0/8", lenient = true }' },
        smtp = { protocol = "smtp", more = 'proxy_protocol = { from = "127.0.0.0/8" }' },
        pop3 = { protocol = "pop3", more = 'proxy_protocol = { from = "127.0.0.0/8" }' },
        hasty = { protocol = "imap", more = [[proxy_protocol = { from = "127.0.0.1" },
          limits = { handshake_timeout = 0.3 }]] },
        imaps = { protocol = "imap", more = ([[proxy_protocol = { from = "127.0.0.1" },
          tls = { mode = "implicit", %s, client_certificate = "optional", ca = %q }]]):format(
          certificate, authority.certificate) },
      },
    }
  end)
  teardown(function()
    if gw then gw:stop() end
    if up then up:stop() end
    if authority then authority:remove() end
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)

  --- What the policy of a greeted session knows.
  local function who(c)
    c:send_line "a LOGIN who x"
    return (c:expect_until "^a NO %S+ (.*)$")
  end

  local function greeted(listener, header)
    local c = client.connect(gw.ports[listener or "imap"])
    c:send(header)
    c:expect "^%* OK"
    return c
  end

  it("of version 1 says who the client is, to policies and to the log", function()
    local c = greeted("imap", V1)
    assert.equal("192.0.2.7 4711 by 127.0.0.1 " .. c.port .. " ", who(c))
    c:close()
    local line = gw:session_of(c)
    assert.equal("192.0.2.7:4711", line.client)
    assert.equal("127.0.0.1:" .. c.port, line.via)
  end)

  it("may be of IPv6", function()
    local c = greeted("imap", V1_IPV6)
    assert.truthy(who(c):find("2001:db8::7 4711 by ", 1, true))
  end)

  it("of version 2 tells more: names, TLS, and an id that is logged", function()
    local c = greeted("imap", v2(0x21, 0x11, V4 .. TLVS))
    assert.equal("192.0.2.7 4711 by 127.0.0.1 " .. c.port ..
      " imap mail.example.com edge-1 TLSv1.3anntrueedge-1", who(c))
    c:close()
    assert.equal("edge-1", gw:session_of(c).origin)
  end)

  it("may come in any pieces, with commands behind it", function()
    local header = v2(0x21, 0x11, V4 .. TLVS)
    for _, bytes in ipairs { V1, header } do
      local c = client.connect(gw.ports.imap)
      c:send_slowly(bytes):expect "^%* OK"
      assert.truthy(who(c):find "^192%.0%.2%.7 4711 ")
      c:discard()
    end
    for cut = 1, #header - 1 do
      local c = client.connect(gw.ports.imap)
      c:send(header:sub(1, cut)):send(header:sub(cut + 1) .. "a LOGIN who x\r\n")
      c:expect "^%* OK"
      c:expect "^a NO %S+ 192%.0%.2%.7 4711 "
      c:discard()
    end
  end)

  it("of a health check leaves the client as it is", function()
    for _, header in ipairs { "PROXY UNKNOWN\r\n", v2(0x20, 0, ""), v2(0x20, 0x11, V4) } do
      local c = greeted("imap", header)
      assert.equal(("127.0.0.1 %d by 127.0.0.1 %d "):format(c.port, c.port), who(c))
      c:close()
      assert.equal("127.0.0.1:" .. c.port, gw:session_of(c).client)
    end
  end)

  it("comes before the greeting of each protocol", function()
    greeted("imap", V1)
    for _, name in ipairs { "pop3", "smtp" } do
      local c = client.connect(gw.ports[name])
      c:expect_silence(0.05)
      c:send(V1):expect(name == "smtp" and "^220 " or "^%+OK")
    end
  end)

  it("decides what the connect hook hears", function()
    local c = client.connect(gw.ports.imap)
    c:send((V1:gsub("192.0.2.7", "192.0.2.66"))):expect "^%* BYE .*blocked"
    assert.equal("refused", gw:session_of(c)["end"])
  end)

  it("of a stranger is refused", function()
    for _, header in ipairs { V1, v2(0x21, 0x11, V4), "PROXY UNKNOWN\r\n", v2(0x20, 0, "") } do
      local c = client.connect(gw.ports.elsewhere)
      c:send(header):expect_end()
      local line = gw:session_of(c)
      assert.equal("proxy_header", line["end"])
      assert.equal("127.0.0.1:" .. c.port, line.client)
    end
  end)

  it("of a stranger is read and not believed where that is configured", function()
    local c = greeted("lenient", V1)
    assert.truthy(who(c):find("127.0.0.1 " .. c.port .. " by ", 1, true))
    c:close()
    local line = gw:session_of(c)
    assert.equal("127.0.0.1:" .. c.port, line.client)
    assert.is_nil(line.via)
  end)

  it("that is none ends the session without a word", function()
    for _, bytes in ipairs { "a LOGIN who x\r\n", "GET / HTTP/1.0\r\n\r\n", "PROXY TCP4 x\r\n",
      V1:gsub("\r", ""), v2(0x22, 0x11, V4), v2(0x21, 0x11, V4:sub(1, 11)),
      v2(0x21, 0x11, V4 .. "\1"), "PROXY " .. ("x"):rep(200), "\22\3\1\2\0\1\0" } do
      for _, listener in ipairs { "imap", "lenient", "imaps" } do
        local c = client.connect(gw.ports[listener])
        c:send(bytes):expect_end()
        assert.equal("proxy_header", gw:session_of(c)["end"])
      end
    end
  end)

  it("that does not come: nothing is served", function()
    local c = client.connect(gw.ports.hasty)
    c:expect_until "^%* BYE"
    assert.equal("timeout", gw:session_of(c)["end"])
    c = client.connect(gw.ports.imap)
    c:send(V1:sub(1, 20))
    c:half_close()
    c:expect_end()
    assert.equal("client_closed", gw:session_of(c)["end"])
  end)

  it("comes before TLS, and says nothing of it", function()
    local c = client.connect(gw.ports.imaps)
    c:send(V1)
    tls.start(c, tls.client { name = "mail.spec.test" }):handshake()
    c:expect "^%* OK"
    assert.truthy(who(c):find "^192%.0%.2%.7 4711 ")
  end)

  it("inside of TLS is a command like any other", function()
    local c = client.connect(gw.ports.imaps)
    c:send(V1)
    tls.start(c, tls.client {}):handshake()
    c:expect "^%* OK"
    c:send(V1:gsub("192.0.2.7", "192.0.2.8")):expect " BAD "
    assert.truthy(who(c):find "^192%.0%.2%.7 4711 ")
  end)

  describe("to an upstream", function()
    --- The first line or header that an upstream hears.
    local function heard(user, header, listener, secure)
      local first
      up.script = function(peer)
        first = user == "v1" and peer:read_line() or peer:read(16)
        if user ~= "v1" then first = first .. peer:read(first:byte(15) * 256 + first:byte(16)) end
        return upstream.imap()(peer)
      end
      local c = client.connect(gw.ports[listener or "imap"])
      c:send(header)
      if secure then tls.start(c, secure):handshake() end
      c:expect "^%* OK"
      c:send_line(("a LOGIN %s x"):format(user)):expect_until "^a OK"
      c:close()
      return first, gw:session_of(c).session
    end

    it("is a line in version 1", function()
      assert.equal("PROXY TCP4 192.0.2.7 198.51.100.1 4711 143", (heard("v1", V1)))
      assert.equal("PROXY TCP6 2001:db8::7 2001:db8::1 4711 143", (heard("v1", V1_IPV6)))
    end)

    it("has the session's id in version 2", function()
      local first, id = heard("v2", V1)
      assert.equal(v2(0x21, 0x11, V4 .. tlv(5, id)), first)
    end)

    it("passes on what came: the id, and the TLS in front", function()
      local first = heard("v2", v2(0x21, 0x11, V4 .. TLVS))
      assert.equal(v2(0x21, 0x11, V4 .. tlv(1, "imap") .. tlv(2, "mail.example.com") ..
        tlv(5, "edge-1") .. tlv(0x20, "\7\0\0\0\0" .. tlv(0x21, "TLSv1.3") .. tlv(0x22, "ann") ..
        tlv(0x23, "AES"))), first)
    end)

    it("tells of the gateway's own TLS: name, version, cipher, and whose certificate", function()
      local ann = authority:leaf { subject = "/O=Example/CN=ann" }
      local first, id = heard("v2", V1, "imaps", tls.client { name = "mail.spec.test", leaf = ann })
      assert.equal(v2(0x21, 0x11, V4):sub(1, 14), first:sub(1, 14))
      for _, part in ipairs { tlv(2, "mail.spec.test"), tlv(5, id), tlv(0x21, "TLSv1.3"),
        tlv(0x22, "ann"), "\7\0\0\0\0" } do
        assert.truthy(first:find(part, 1, true))
      end
    end)
  end)
end)
