--- TLS from the first byte, offered, or needed before any login; by openssl s_client and by hand.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local openssl = require "spec.support.openssl"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local PLAIN = client.plain("ann", "secret")

-- What a client of each protocol says and hears.
local WORDS = {
  imap = {
    greeting = "^%* OK",
    ask = "a CAPABILITY\r\n", answer_end = "^a OK",
    upgrade = "b STARTTLS\r\n", upgraded = "^b OK",
    logins = { "c LOGIN ann secret\r\n", "c AUTHENTICATE PLAIN " .. PLAIN .. "\r\n",
      "c AUTHENTICATE PLAIN\r\n" },
    refused = "^c NO %[PRIVACYREQUIRED%]",
    login = "c LOGIN ann secret\r\n", welcome = "^c OK",
    goodbye = "z LOGOUT\r\n", gone = "z OK",
    offer = "STARTTLS", auth = "AUTH=PLAIN",
  },
  pop3 = {
    greeting = "^%+OK",
    ask = "CAPA\r\n", answer_end = "^%.$",
    upgrade = "STLS\r\n", upgraded = "^%+OK",
    logins = { "USER ann\r\n", "AUTH PLAIN " .. PLAIN .. "\r\n", "AUTH PLAIN\r\n",
      "PASS secret\r\n" },
    refused = "^%-ERR",
    login = "AUTH PLAIN " .. PLAIN .. "\r\n", welcome = "^%+OK",
    goodbye = "QUIT\r\n", gone = "+OK",
    offer = "STLS", auth = "SASL PLAIN",
  },
  smtp = {
    greeting = "^220",
    ask = "EHLO c.test\r\n", answer_end = "^250 .*",
    upgrade = "STARTTLS\r\n", upgraded = "^220",
    logins = { "AUTH PLAIN " .. PLAIN .. "\r\n", "AUTH LOGIN\r\n" },
    refused = "^538 5%.7%.11",
    login = "EHLO c.test\r\nAUTH PLAIN " .. PLAIN .. "\r\n", welcome = "^235",
    goodbye = "QUIT\r\n", gone = "221",
    offer = "STARTTLS", auth = "AUTH PLAIN LOGIN",
  },
}
local PROTOCOLS = { "imap", "pop3", "smtp" }

describe("a listener with TLS", function()
  local authority, leaf, gw, servers

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { subject = "/CN=mail.spec.test",
      names = { "DNS:mail.spec.test", "IP:127.0.0.1" } }
    servers = {}
    local listen = {}
    for _, protocol in ipairs(PROTOCOLS) do
      servers[protocol] = upstream.start { script = upstream[protocol]() }
      for _, mode in ipairs { "implicit", "starttls", "required" } do
        listen[protocol .. "_" .. mode] = { protocol = protocol, more = ([[upstream = %q,
          tls = { mode = %q, certificate = %q, key = %q }]]):format(servers[protocol].address,
          mode, leaf.certificate, leaf.key) }
      end
      listen[protocol .. "_clear"] = { protocol = protocol,
        more = ("upstream = %q"):format(servers[protocol].address) }
    end
    gw = site.start { listen = listen, policy = [[
      return { auth = function(_, credentials)
        if not credentials.password:equals "secret" then
          return moongate.reject { reason = "bad-credentials" }
        end
        return moongate.accept {}
      end }]] }
  end)

  teardown(function()
    for _, server in pairs(servers or {}) do server:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
  end)

  local function port(protocol, mode) return gw.ports[protocol .. "_" .. mode] end

  --- Asks what is offered; the lines of the answer as one text.
  local function offers(c, words)
    c:send(words.ask)
    local last, before = c:expect_until(words.answer_end)
    table.insert(before, last)
    return table.concat(before, "\n")
  end

  --- A client of mode starttls that has read the greeting.
  local function arrive(protocol, mode)
    local c = client.connect(port(protocol, mode))
    c:expect(WORDS[protocol].greeting)
    return c
  end

  local function upgrade(c, words, how)
    c:send(words.upgrade):expect(words.upgraded)
    return tls.start(c, tls.client(how or { ca = authority.certificate })):handshake()
  end

  for _, protocol in ipairs(PROTOCOLS) do
    local words = WORDS[protocol]

    describe(protocol, function()
      it("is served to openssl s_client from the first byte", function()
        local text = openssl.client(port(protocol, "implicit"), { "-CAfile", authority.certificate,
          "-verify_return_error", "-verify_ip", "127.0.0.1" }, words.goodbye)
        assert.matches("Verification: OK", text)
        assert.matches("New, TLSv1.3", text)
        assert.matches(words.gone, text, 1, true)
      end)

      for _, mode in ipairs { "starttls", "required" } do
        it("is served to openssl s_client after its upgrade, mode " .. mode, function()
          local text = openssl.client(port(protocol, mode), { "-CAfile", authority.certificate,
            "-verify_return_error", "-verify_ip", "127.0.0.1", "-starttls", protocol },
            words.goodbye)
          assert.matches("Verification: OK", text)
          assert.matches("New, TLSv1.3", text)
          assert.matches(words.gone, text, 1, true)
        end)
      end

      it("says nothing in clear where TLS comes first", function()
        local c = client.connect(port(protocol, "implicit"))
        c:send(words.ask)
        c:flush()
        local session = gw:session_of(c)
        assert.equal("tls_failed", session["end"])
        assert.is_nil(c:all():find "[%w][%w][%w]")
      end)

      it("offers the upgrade only where there is one", function()
        local clear = arrive(protocol, "clear")
        assert.is_nil(offers(clear, words):find(words.offer, 1, true))
        clear:send(words.upgrade)
        assert.is_nil(clear:read_line():find(words.upgraded))
        assert.matches(words.offer, offers(arrive(protocol, "starttls"), words), 1, true)
        local direct = tls.connect(port(protocol, "implicit"))
        direct:expect(words.greeting)
        assert.is_nil(offers(direct, words):find(words.offer, 1, true))
      end)

      it("tells anew what it offers after the upgrade, and upgrades once", function()
        local c = arrive(protocol, "required")
        local before = offers(c, words)
        assert.matches(words.offer, before, 1, true)
        assert.is_nil(before:find("AUTH", 1, true) and before:find(words.auth, 1, true))
        upgrade(c, words)
        local after = offers(c, words)
        assert.is_nil(after:find(words.offer, 1, true))
        assert.matches(words.auth, after, 1, true)
        c:send(words.upgrade)
        local answer = c:read_line()
        assert.is_nil(answer:find(words.upgraded))
        assert.is_nil(c.failure)
        assert.equal(after, offers(c, words))
      end)

      it("takes no credentials in clear where TLS is needed", function()
        for _, login in ipairs(words.logins) do
          local c = arrive(protocol, "required")
          if protocol == "smtp" then offers(c, words) end
          c:send(login):expect(words.refused)
        end
        assert.equal(0, #servers[protocol].peers)
        assert.is_nil(gw:log():find("secret", 1, true))
      end)

      for _, mode in ipairs { "implicit", "starttls", "required" } do
        it("logs in inside TLS, mode " .. mode, function()
          local c
          if mode == "implicit" then
            c = tls.connect(port(protocol, mode), { ca = authority.certificate })
            c:expect(words.greeting)
          else
            c = upgrade(arrive(protocol, mode), words)
          end
          c:send(words.login):expect_until(words.welcome)
          assert.equal("secret", servers[protocol]:peer(1).password)
          c:half_close()
          local session = gw:session_of(c)
          assert.equal("client_closed", session["end"])
          assert.matches("^TLSv1.3 ", session.tls)
        end)
      end
    end)
  end

  it("IMAP says LOGINDISABLED while a login is refused, and no more after it", function()
    local c = arrive("imap", "required")
    local before = offers(c, WORDS.imap)
    assert.matches("LOGINDISABLED", before)
    assert.is_nil(before:find "AUTH=")
    upgrade(c, WORDS.imap)
    assert.is_nil(offers(c, WORDS.imap):find "LOGINDISABLED")
  end)

  it("POP3 offers neither USER nor SASL while a login is refused", function()
    local c = arrive("pop3", "required")
    local before = offers(c, WORDS.pop3)
    assert.is_nil(before:find "USER")
    assert.is_nil(before:find "SASL")
    upgrade(c, WORDS.pop3)
    assert.matches("USER", offers(c, WORDS.pop3))
  end)

  it("POP3 forgets the USER that was given in clear", function()
    local c = arrive("pop3", "starttls")
    c:send_line("USER victim"):expect "^%+OK"
    local refused = c:send("STLS\r\n"):read_line()
    if refused:find "^%-ERR" then c:send("STLS\r\n"):expect "^%+OK" end
    tls.start(c, tls.client {}):handshake()
    c:send_line("PASS secret"):expect "^%-ERR"
    assert.equal(0, #servers.pop3.peers)
  end)

  it("SMTP forgets what it was called before the upgrade", function()
    local c = arrive("smtp", "starttls")
    c:send_line("EHLO in.clear"):expect_until "^250 "
    upgrade(c, WORDS.smtp)
    c:send_line("MAIL FROM:<a@spec.test>"):expect "^5"
    c:send_line("EHLO in.tls"):expect_until "^250 "
    c:send_line("AUTH PLAIN " .. PLAIN):expect_until "^235"
    assert.is_nil(servers.smtp:peer(1):all():find("in.clear", 1, true))
  end)

  it("answers commands that come a byte a record", function()
    for _, protocol in ipairs(PROTOCOLS) do
      local words = WORDS[protocol]
      local c = tls.connect(port(protocol, "implicit"))
      c:expect(words.greeting)
      c:send_slowly(words.login)
      c:expect_until(words.welcome)
    end
  end)
end)
