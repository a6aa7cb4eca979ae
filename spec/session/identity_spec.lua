--- Who the client is: told to upstreams by ID and XCLIENT, taken from trusted peers, and what ends
--- logins that go in circles.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
local settings = moongate.settings("to", { values = "string" })
return {
  connect = function(session)
    if session.client.ip == "192.0.2.66" then return moongate.reject { text = "blocked" } end
    session.vars.asked = (session.vars.asked or "") .. session.client.ip .. " "
  end,
  auth = function(session, credentials)
    if credentials.user == "who" then
      local c, p = session.client, session.proxy
      return moongate.reject { text = ("%s %s %s by %s asked %s"):format(c.ip, c.port or "-",
        session.origin or "-", p and p.ip or "-", session.vars.asked) }
    end
    return moongate.accept { upstream = moongate.to { address = settings[session.protocol],
      trusted = credentials.user ~= "secretive" } }
  end,
}
]]

local PROTOCOLS = { "imap", "pop3", "smtp" }
local GREETED = { imap = "^%* OK", pop3 = "^%+OK", smtp = "^220 " }

-- What tells that the client is 192.0.2.7, and the answer to it.
local TOLD = {
  imap = { 't ID ("x-originating-ip" "192.0.2.7" "x-originating-port" "4711" ' ..
    '"x-session-id" "front-1" "x-proxy-ttl" "5")', "^t OK" },
  pop3 = { "XCLIENT ADDR=192.0.2.7 PORT=4711 SESSION=front-1 TTL=5", "^%+OK" },
  smtp = { "XCLIENT ADDR=192.0.2.7 PORT=4711 SESSION=front-1 TTL=5", "^220 " },
}

local function login(user)
  local plain = client.plain(user, "secret")
  return {
    imap = { "a AUTHENTICATE PLAIN " .. plain, "^a %u+" },
    pop3 = { "AUTH PLAIN " .. plain, "^[+-]%u+" },
    smtp = { "AUTH PLAIN " .. plain, "^%d%d%d " },
  }
end

-- Servers that offer to hear who the client is.
local function servers()
  return {
    imap = upstream.start { script = upstream.imap {
      capabilities = "IMAP4rev1 SASL-IR ID AUTH=PLAIN" } },
    pop3 = upstream.start {},
    smtp = upstream.start {},
  }
end

--- A POP3 or SMTP server that takes XCLIENT and then any login.
local function takes_xclient(protocol)
  local welcome = protocol == "pop3" and "+OK [XCLIENT] ready" or "220 ready"
  return function(peer)
    peer:send_line(welcome)
    while true do
      local line = peer:read_line(false)
      if not line then return peer:close() end
      if line:find "^EHLO" then
        peer:send("250-up\r\n250-XCLIENT ADDR PORT NAME HELO PROTO SESSION TTL\r\n" ..
          "250 AUTH PLAIN\r\n")
      elseif line:find "^XCLIENT" then
        peer.told = line
        peer:send_line(protocol == "pop3" and "+OK" or welcome)
      elseif line == "CAPA" then
        peer:send "+OK\r\n.\r\n"
      else
        peer:send_line(protocol == "pop3" and "+OK" or "235 in")
      end
    end
  end
end

describe("who the client is", function()
  local gw, up, authority

  setup(function()
    up = servers()
    up.pop3.script, up.smtp.script = takes_xclient "pop3", takes_xclient "smtp"
    authority = ca.new()
    local leaf = authority:leaf { subject = "/CN=mail.spec.test" }
    local listen = {}
    for _, protocol in ipairs(PROTOCOLS) do
      listen[protocol] = { protocol = protocol }
      listen[protocol .. "_trusting"] = { protocol = protocol, more = ([[trusted = "127.0.0.1",
        tls = { mode = "starttls", certificate = %q, key = %q }]]):format(leaf.certificate,
        leaf.key) }
      listen[protocol .. "_elsewhere"] = { protocol = protocol, more = 'trusted = "10.0.0.0/8"' }
      listen[protocol .. "_quiet"] = { protocol = protocol, more = 'forward = "off"' }
    end
    gw = site.start { listen = listen, policy = POLICY,
      more = ("settings = { to = { imap = %q, pop3 = %q, smtp = %q } },"):format(up.imap.address,
        up.pop3.address, up.smtp.address) }
  end)
  teardown(function()
    if gw then gw:stop() end
    for _, server in pairs(up or {}) do server:stop() end
    if authority then authority:remove() end
  end)
  after_each(function()
    client.discard_all()
    for _, server in pairs(up) do server:clear() end
  end)

  local function greeted(listener)
    local c = client.connect(gw.ports[listener])
    c:expect(GREETED[listener:match "^[^_]+"])
    return c
  end

  --- Says a line and reads up to its answer.
  local function say(c, words)
    c:send_line(words[1])
    return (c:expect_until(words[2]))
  end

  local function log_in(c, protocol, user) return say(c, login(user)[protocol]) end

  for _, protocol in ipairs(PROTOCOLS) do
    describe("in " .. protocol, function()
      --- What tells the upstream, of the session of `c`.
      local function told()
        return protocol == "imap" and up.imap:peer(1):all():match "[^\r\n]* ID [^\r\n]*"
          or up[protocol]:peer(1):all():match "[^\r\n]*XCLIENT[^\r\n]*"
      end

      it("is told to an upstream that offers to hear it", function()
        local c = greeted(protocol)
        log_in(c, protocol, "ann")
        local line = told()
        c:close()
        local id = gw:session_of(c).session
        for _, part in ipairs { "127.0.0.1", tostring(c.port), id } do
          assert.truthy(line:find(part, 1, true), line)
        end
        assert.truthy(line:find(protocol == "imap" and '"x-proxy-ttl" "6"' or "TTL=6", 1, true))
      end)

      it("is not told where a decision or the listener says no", function()
        local c = greeted(protocol)
        log_in(c, protocol, "secretive")
        assert.is_nil(told())
        up[protocol]:clear()
        c = greeted(protocol .. "_quiet")
        log_in(c, protocol, "ann")
        assert.is_nil(told())
      end)

      it("is taken from a trusted peer: for hooks, the log, and the upstream", function()
        local c = greeted(protocol .. "_trusting")
        say(c, TOLD[protocol])
        local answer = log_in(c, protocol, "who")
        assert.truthy(answer)
        local text = c:all():match "192%.0%.2%.7 [^\r\n]*"
        assert.equal("192.0.2.7 4711 front-1 by 127.0.0.1 asked 127.0.0.1 192.0.2.7 ", text)
        log_in(c, protocol, "ann")
        local line = told()
        assert.truthy(line:find("192.0.2.7", 1, true), line)
        assert.truthy(line:find("4711", 1, true), line)
        assert.truthy(line:find("front-1", 1, true), line)
        assert.truthy(line:find(protocol == "imap" and '"x-proxy-ttl" "4"' or "TTL=4", 1, true))
        c:close()
        local logged = gw:session_of(c)
        assert.equal("192.0.2.7:4711", logged.client)
        assert.equal("front-1", logged.origin)
        assert.equal("127.0.0.1:" .. c.port, logged.via)
      end)

      it("is taken once", function()
        local c = greeted(protocol .. "_trusting")
        say(c, TOLD[protocol])
        c:send_line((TOLD[protocol][1]:gsub("192.0.2.7", "192.0.2.8")))
        c:expect_until(protocol == "imap" and "^t OK" or protocol == "pop3" and "^%-ERR" or "^503 ")
        log_in(c, protocol, "who")
        assert.truthy(c:all():find("192.0.2.7 4711 front-1 by", 1, true))
      end)

      it("means nothing from anybody else", function()
        for _, listener in ipairs { protocol, protocol .. "_elsewhere" } do
          local c = greeted(listener)
          assert.is_nil(c:all():find("XCLIENT", 1, true))
          if protocol == "smtp" then
            c:send_line "EHLO client.test"
            c:expect_until "^250 "
            assert.is_nil(c:all():find("XCLIENT", 1, true))
          end
          c:send_line(TOLD[protocol][1])
          c:expect_until(protocol == "imap" and "^t OK" or protocol == "pop3" and "^%-ERR"
            or "^550 ")
          log_in(c, protocol, "who")
          assert.truthy(c:all():find("127.0.0.1 " .. c.port .. " - by - asked 127.0.0.1 ", 1, true))
          c:close()
          local line = gw:session_of(c)
          assert.equal("127.0.0.1:" .. c.port, line.client)
          assert.is_nil(line.origin)
        end
      end)

      it("is judged by the connect hook", function()
        local c = greeted(protocol .. "_trusting")
        c:send_line((TOLD[protocol][1]:gsub("192.0.2.7", "192.0.2.66")))
        c:expect_until "blocked"
        c:expect_end()
        assert.equal("refused", gw:session_of(c)["end"])
      end)

      it("must be an address", function()
        local c = greeted(protocol .. "_trusting")
        c:send_line((TOLD[protocol][1]:gsub("192.0.2.7", "mail.test")))
        c:expect_until "no address"
        c:expect_end()
        assert.equal("identity", gw:session_of(c)["end"])
      end)

      it("is forgotten when TLS begins", function()
        local c = greeted(protocol .. "_trusting")
        say(c, TOLD[protocol])
        c:send_line(({ imap = "s STARTTLS", pop3 = "STLS", smtp = "STARTTLS" })[protocol])
        c:expect(({ imap = "^s OK", pop3 = "^%+OK", smtp = "^220 " })[protocol])
        tls.start(c, tls.client {}):handshake()
        log_in(c, protocol, "who")
        assert.truthy(c:all():find("127.0.0.1 " .. c.port .. " - by", 1, true))
        say(c, { (TOLD[protocol][1]:gsub("192.0.2.7", "192.0.2.9")), TOLD[protocol][2] })
        log_in(c, protocol, "who")
        assert.truthy(c:all():find("192.0.2.9 4711 front-1 by", 1, true))
      end)

      it("that came through too many gateways is not logged in", function()
        local c = greeted(protocol .. "_trusting")
        say(c, { (TOLD[protocol][1]:gsub('TTL=5', "TTL=1"):gsub('ttl" "5"', 'ttl" "1"')),
          TOLD[protocol][2] })
        log_in(c, protocol, "ann")
        c:expect_end()
        assert.equal("loop", gw:session_of(c)["end"])
        assert.equal(0, #up[protocol].peers)
      end)
    end)
  end

  it("may come in a breath with the login", function()
    local c = greeted "imap_trusting"
    c:send(TOLD.imap[1] .. "\r\na LOGIN who x\r\n"):expect_until "^t OK"
    c:expect "^a NO %S+ 192%.0%.2%.7 4711 front%-1 "
  end)
end)

describe("a circle", function()
  local gateways
  teardown(function() for _, gw in ipairs(gateways or {}) do gw:stop() end end)
  after_each(client.discard_all)

  local AHEAD = [[ return { auth = function()
    return moongate.accept { upstream = %q }
  end } ]]

  it("of three gateways is left after six hops, with a reason", function()
    gateways = {}
    -- Each next one's port must be known before it is there.
    local first = upstream.start {}
    local port = first.port
    first:stop()
    local ahead = "127.0.0.1:" .. port
    for i = 1, 3 do
      local listen = { imap = { protocol = "imap", more = 'trusted = "127.0.0.0/8"' } }
      local options = { listen = listen, policy = AHEAD:format(ahead) }
      if i == 3 then
        local text = site.configuration(options):gsub("127%.0%.0%.1:0", "127.0.0.1:" .. port)
        gateways[i] = require("spec.support.gateway").start { files = {
          ["moongate.lua"] = text,
          ["scripts/policy.lua"] = 'local moongate = require "moongate"\n' .. options.policy,
        } }
      else
        gateways[i] = site.start(options)
      end
      ahead = "127.0.0.1:" .. gateways[i].ports.imap
    end
    local c = client.connect(gateways[3].ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann secret"
    c:expect_until "^a NO %[SERVERBUG%]"
    c:discard()
    local id = gateways[3]:session_of(c).session
    local looped, hops = 0, 0
    for _, gw in ipairs(gateways) do
      gw:expect_log "( end=%l+)"
      for line in gw:log():gmatch "[^\n]+" do
        if line:find(" session=", 1, true) then hops = hops + 1 end
        if line:find("end=loop", 1, true) then
          looped = looped + 1
          assert.truthy(line:find('origin="' .. id .. '"', 1, true), line)
          assert.truthy(line:find("too many gateways", 1, true), line)
        end
      end
    end
    assert.equal(1, looped)
    assert.is_true(hops <= 7)
  end)

  it("of one is not even begun", function()
    local port_keeper = upstream.start {}
    local port = port_keeper.port
    port_keeper:stop()
    local options = { listen = { imap = { protocol = "imap" } },
      policy = AHEAD:format("127.0.0.1:" .. port) }
    local gw = require("spec.support.gateway").start { files = {
      ["moongate.lua"] = site.configuration(options):gsub("127%.0%.0%.1:0", "127.0.0.1:" .. port),
      ["scripts/policy.lua"] = 'local moongate = require "moongate"\n' .. options.policy,
    } }
    finally(function() gw:stop() end)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann secret"
    c:expect_until "^a NO %[SERVERBUG%]"
    local line = gw:session_of(c)
    assert.equal("loop", line["end"])
    assert.equal("the upstream is this listener", line.log)
  end)
end)

describe("a probe", function()
  local headers = { v1 = "PROXY UNKNOWN\r\n", v2 = "\r\n\r\n\0\r\nQUIT\n\32\0\0\0" }
  for version, header in pairs(headers) do
    it("sends a header of nobody to an upstream that wants one, in " .. version, function()
      local up = upstream.start { script = function(peer)
        peer:read(#header)
        return upstream.imap()(peer)
      end }
      local more = "upstream = %q, probe = 60, upstream_proxy_protocol = %q"
      local gw = site.start { users = { ann = up.address }, listen = { imap = {
        protocol = "imap", more = more:format(up.address, version) } } }
      finally(function() gw:stop() up:stop() end)
      local peer = up:peer(1)
      loop.wait("the probe's goodbye", function() return peer:all():find("LOGOUT", 1, true) end)
      assert.equal(header, peer:all():sub(1, #header))
    end)
  end
end)
