--- What is sent in clear around the beginning of TLS is nobody's (CVE-2011-0411, CVE-2014-3556,
-- CVE-2021-33515, CVE-2026-1642, "NO STARTTLS").
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local PLAIN = client.plain("ann", "secret")
local PROTOCOLS = { "imap", "pop3", "smtp" }

local CLIENTS = {
  imap = {
    upgrade = "b STARTTLS\r\n", upgraded = "^b OK", before = "a NOOP\r\n",
    login = "c LOGIN ann secret\r\n", partial = "c LOG", rest = "IN ann secret\r\n",
    noop = "d NOOP\r\n", answer = "^d OK", outcome = "\nc %u+ [^\n]*\n",
  },
  pop3 = {
    upgrade = "STLS\r\n", upgraded = "^%+OK$", before = "NOOP\r\n",
    login = "AUTH PLAIN " .. PLAIN .. "\r\n", partial = "AUTH PL", rest = "AIN " .. PLAIN .. "\r\n",
    noop = "CAPA\r\n", answer = "^%+OK", outcome = "\n[-+][^\n]*\n",
  },
  smtp = {
    upgrade = "STARTTLS\r\n", upgraded = "^220 2", before = "NOOP\r\n",
    login = "EHLO x\r\nAUTH PLAIN " .. PLAIN .. "\r\n", partial = "EH",
    rest = "LO x\r\nAUTH PLAIN " .. PLAIN .. "\r\n",
    noop = "NOOP\r\n", answer = "^250", outcome = "\n250 .-\n%d%d%d [^\n]*\n",
  },
}

local POLICY = [[
local routes = { %s }
return {
  auth = function() return moongate.accept {} end,
  route = function(session)
    return moongate.to { host = "127.0.0.1", port = routes[session.protocol], tls = "starttls",
      server_name = "mx.spec.test" }
  end,
}
]]

-- A scripted upstream up to its go-ahead for TLS; `options` change what it says.
local SERVERS = {}

function SERVERS.imap(peer, options)
  local offered = options.stripped and "IMAP4rev1" or "IMAP4rev1 STARTTLS LOGINDISABLED"
  peer:send_line(options.greeting or ("* OK [CAPABILITY %s] ready"):format(offered))
  for line in function() return peer:read_line(false) end do
    local tag, word = line:match "^(%S+) (%S+)"
    if word == "STARTTLS" then
      return peer:send((options.go_ahead or "$ OK go\r\n"):gsub("%$", tag))
    end
    if word == "CAPABILITY" then peer:send_line("* CAPABILITY " .. offered) end
    peer:send_line(tag .. (word == "CAPABILITY" and " OK done" or " BAD no"))
  end
end

function SERVERS.pop3(peer, options)
  peer:send_line(options.greeting or "+OK ready")
  for line in function() return peer:read_line(false) end do
    if line == "STLS" and not options.stripped then
      return peer:send(options.go_ahead or "+OK go\r\n")
    elseif line == "CAPA" then
      peer:send(options.stripped and "+OK\r\nUSER\r\n.\r\n" or "+OK\r\nSTLS\r\n.\r\n")
    else
      peer:send_line "-ERR no"
    end
  end
end

function SERVERS.smtp(peer, options)
  peer:send_line(options.greeting or "220 mx.spec.test")
  for line in function() return peer:read_line(false) end do
    if line == "STARTTLS" then return peer:send(options.go_ahead or "220 go\r\n") end
    if line:match "^EHLO" then
      peer:send(options.stripped and "250-mx\r\n250 AUTH PLAIN\r\n" or "250-mx\r\n250 STARTTLS\r\n")
    else
      peer:send_line "500 no"
    end
  end
end

-- What a man in the middle adds to the go-ahead, what says no, and what TLS is to find.
local GO_AHEAD = { imap = "$ OK go\r\n", pop3 = "+OK go\r\n", smtp = "220 go\r\n" }
local INJECTED = { imap = "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nx OK evil\r\n",
  pop3 = "+OK evil\r\n", smtp = "250 evil\r\n" }
local NO = { imap = "$ NO not now\r\n", pop3 = "-ERR not now\r\n", smtp = "454 not now\r\n" }

describe("plaintext around the beginning of TLS", function()
  local authority, leaf, gw, servers, script

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { subject = "/CN=mx.spec.test",
      names = { "DNS:mx.spec.test", "IP:127.0.0.1" } }
    servers = {}
    local listen, routes = {}, {}
    for _, protocol in ipairs(PROTOCOLS) do
      servers[protocol] = upstream.start { script = function(peer) script(protocol, peer) end }
      table.insert(routes, ("%s = %d"):format(protocol, servers[protocol].port))
      listen[protocol] = { protocol = protocol, more = ([[
        tls = { mode = "starttls", certificate = %q, key = %q },
        limits = { errors = 1000, upstream_attempts = 1 }]]):format(leaf.certificate, leaf.key) }
    end
    gw = site.start { listen = listen, policy = POLICY:format(table.concat(routes, ", ")),
      more = ("tls_profiles = { default = { ca = %q } },"):format(authority.certificate) }
  end)

  teardown(function()
    for _, server in pairs(servers or {}) do server:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  before_each(function()
    script = function(protocol, peer) SERVERS[protocol](peer, {}) end
  end)

  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
  end)

  local function arrive(protocol)
    local c = client.connect(gw.ports[protocol])
    c:read_line()
    return c
  end

  for _, protocol in ipairs(PROTOCOLS) do
    local words = CLIENTS[protocol]

    describe("by a client of " .. protocol, function()
      --- The end of a session that sends this, which must be that of an injection.
      local function injected(...)
        local c = arrive(protocol)
        for _, bytes in ipairs { ... } do
          c:send(bytes)
          c:flush()
        end
        local session = gw:session_of(c)
        assert.equal("starttls_injection", session["end"])
        assert.equal(0, #servers[protocol].peers)
        local lines = select(2, c:all():gsub("\r\n", ""))
        assert.is_true(lines <= 1 + 1, c:all()) -- greeting and go-ahead
      end

      it("ends the session when it follows in the same segment", function()
        injected(words.upgrade .. words.login)
        injected(words.upgrade .. words.noop)
      end)

      it("ends the session when it is part of a line", function()
        injected(words.upgrade .. words.partial)
        injected(words.upgrade .. "\n")
        injected(words.upgrade .. " ")
      end)

      it("ends the session when it fills the buffer", function()
        injected(words.upgrade .. words.noop:rep(4000))
      end)

      it("does not become part of what is said in TLS when it follows the go-ahead", function()
        local c = arrive(protocol)
        c:send(words.upgrade):expect(words.upgraded)
        c:send(words.partial)
        c:flush()
        tls.start(c, tls.client {})
        assert.is_nil(c:attempt())
        assert.equal("tls_failed", gw:session_of(c)["end"])
        assert.equal(0, #servers[protocol].peers)
      end)

      it("is answered in clear when it comes before", function()
        local c = arrive(protocol)
        c:send(words.before .. words.upgrade)
        c:read_line()
        c:expect(words.upgraded)
        tls.start(c, tls.client {}):handshake()
        c:send(words.noop):expect(words.answer)
      end)

      it("gets no word out of the gateway before the client speaks", function()
        local c = arrive(protocol)
        c:send(words.upgrade):expect(words.upgraded)
        tls.start(c, tls.client {}):handshake()
        c:send(words.noop)
        assert.matches(words.answer, c:read_line()) -- the first that is said in TLS
      end)
    end)

    describe("by an upstream of " .. protocol, function()
      --- Logs in; how the session ended, and all that the upstream heard.
      local function log_in()
        local c = arrive(protocol)
        c:send(words.login)
        loop.wait("an answer", function() return c:all():find(words.outcome) end)
        local server = servers[protocol]
        c:half_close()
        local session = gw:session_of(c)
        local heard = {}
        for i, peer in ipairs(server.peers) do heard[i] = peer:all() end
        return session, table.concat(heard), c
      end

      local function hears_nothing(reason, tries)
        local session, heard, c = log_in()
        assert.equal(reason, session["end"])
        for _, secret in ipairs { "ann", "secret", PLAIN } do
          assert.is_nil(heard:find(secret, 1, true), heard)
        end
        assert.is_nil(c:all():find("evil", 1, true))
        assert.is_true(#servers[protocol].peers <= (tries or 1))
        return heard
      end

      it("is nothing to a login that goes well", function()
        script = function(name, peer)
          SERVERS[name](peer, {})
          peer.clear = peer:all()
          tls.start(peer, tls.server(leaf))
          if not peer:attempt() then return end
          -- The scripts greet first, and TLS after STARTTLS has no greeting.
          peer.send_line = function(self)
            self.send_line = nil
            return self
          end
          upstream[name]()(peer)
        end
        local session, heard = log_in()
        assert.equal("client_closed", session["end"])
        local peer = servers[protocol]:peer(1)
        assert.equal("secret", peer.password)
        assert.is_nil(peer.clear:find("secret", 1, true))
        assert.is_nil(peer.clear:find(PLAIN, 1, true))
        assert.matches(protocol == "smtp" and "EHLO.*EHLO" or "TLS.*CAPA", heard)
      end)

      it("is never believed when it comes along with the go-ahead", function()
        script = function(name, peer)
          SERVERS[name](peer, { go_ahead = GO_AHEAD[name] .. INJECTED[name] })
          if not peer.ended then
            tls.start(peer, tls.server(leaf))
            if peer:attempt() then upstream[name]()(peer) end
          end
        end
        hears_nothing "upstream_injection"
      end)

      it("is never believed when it is part of a line", function()
        script = function(name, peer)
          SERVERS[name](peer, { go_ahead = GO_AHEAD[name] .. INJECTED[name]:sub(1, 1) })
        end
        hears_nothing "upstream_injection"
      end)

      it("is never believed when it comes instead of TLS", function()
        script = function(name, peer)
          SERVERS[name](peer, {})
          loop.wait("a ClientHello", function() return #peer.input > 100 or peer.ended end, false)
          peer:send(INJECTED[name])
        end
        hears_nothing("upstream_tls", 2) -- once with a session of before, once without
      end)

      it("gets no credentials when STARTTLS is missing", function()
        script = function(name, peer) SERVERS[name](peer, { stripped = true }) end
        hears_nothing "upstream_no_starttls"
      end)

      it("gets no credentials when STARTTLS is refused", function()
        script = function(name, peer)
          SERVERS[name](peer, { go_ahead = NO[name] })
          peer:read_line(false)
        end
        hears_nothing "upstream_no_starttls"
      end)
    end)
  end

  it("of an upstream that says PREAUTH gets no credentials", function()
    script = function(_, peer)
      SERVERS.imap(peer, { greeting = "* PREAUTH [CAPABILITY IMAP4rev1] hello evil" })
    end
    local c = arrive "imap"
    c:send_line("c LOGIN ann secret"):expect_until "^c NO"
    assert.equal("upstream_preauth", gw:session_of(c)["end"])
    assert.is_nil(servers.imap:peer(1):all():find("secret", 1, true))
    assert.is_nil(c:all():find("evil", 1, true))
  end)
end)
