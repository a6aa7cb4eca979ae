--- Which certificate, protocol and version a client of TLS gets, and what it may not do.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local openssl = require "spec.support.openssl"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local QUIT = "z LOGOUT\r\n"

describe("a TLS handshake", function()
  local authority, gw, up, leaves, dh

  local function section(more)
    return ("tls = { mode = 'implicit', certificate = { %q, %q }, key = { %q, %q }, %s }"):format(
      leaves.ec.certificate, leaves.rsa.certificate, leaves.ec.key, leaves.rsa.key, more or "")
  end

  setup(function()
    authority = ca.new()
    leaves = {
      ec = authority:leaf { subject = "/CN=own-ec" },
      rsa = authority:leaf { subject = "/CN=own-rsa", kind = "rsa" },
      exact = authority:leaf { subject = "/CN=exact" },
      wildcard = authority:leaf { subject = "/CN=wildcard", passphrase = "open sesame" },
    }
    dh = authority.folder .. "/dh.pem"
    assert.equal(0, (child.run { "openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt",
      "group:ffdhe2048", "-out", dh }))
    up = upstream.start { script = upstream.imap() }
    local names = ([[names = {
      ["mail.b.test"] = { certificate = %q, key = %q },
      ["*.b.test"] = { certificate = %q, key = %q, passphrases = { "wrong", "open sesame" } },
    },]]):format(leaves.exact.certificate, leaves.exact.key, leaves.wildcard.certificate,
      leaves.wildcard.key)
    local listen = {}
    local function add(name, protocol, more)
      listen[name] = { protocol = protocol, more = ("upstream = %q, "):format(up.address)
        .. section(more) }
    end
    add("imap", "imap", names)
    add("pop3", "pop3", names)
    add("smtp", "smtp", names)
    add("names_only", "imap", names .. "names_only = true")
    add("old", "imap", 'min_version = "1.0", ciphers = "ALL:@SECLEVEL=0"')
    add("newest", "imap", 'min_version = "1.3"')
    add("until_12", "imap", 'max_version = "1.2"')
    add("ciphers", "imap", ('max_version = "1.2", prefer_server_ciphers = true, ciphers = '
      .. '"DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384", dhparam = %q'):format(dh))
    add("suites", "imap", 'ciphersuites = "TLS_CHACHA20_POLY1305_SHA256", curves = "P-384"')
    add("commands", "imap", 'commands = { "MaxProtocol TLSv1.2", "CipherString AES256-SHA256" }')
    listen.hasty = { protocol = "imap", more = "limits = { login_timeout = 0.5 }, " .. section() }
    local brisk = "limits = { handshake_timeout = 0.3 }, " .. section()
    listen.brisk = { protocol = "imap", more = brisk }
    listen.brisk_starttls = { protocol = "imap", more = brisk:gsub("implicit", "starttls") }
    gw = site.start { listen = listen, policy = [[ return { auth = function(session)
      session:log("info", "sni=" .. tostring(session.tls.sni) .. " alpn="
        .. tostring(session.tls.alpn))
      return moongate.accept {}
    end } ]] }
  end)

  teardown(function()
    if up then up:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  after_each(function()
    client.discard_all()
    up:clear()
  end)

  local function s_client(listener, ...)
    return openssl.client(gw.ports[listener], { "-CAfile", authority.certificate, ... }, QUIT)
  end

  local function subject(text) return text:match "subject=CN = (%S+)" end

  describe("shows the certificate", function()
    for name, cn in pairs { ["mail.b.test"] = "exact", ["MAIL.B.test"] = "exact",
      ["www.b.test"] = "wildcard", ["a.www.b.test"] = "own-ec", ["b.test"] = "own-ec",
      ["else.test"] = "own-ec" } do
      it(cn .. " to a client that asks for " .. name, function()
        local text = s_client("imap", "-servername", name)
        assert.equal(cn, subject(text))
        assert.matches("Verification: OK", text)
      end)
    end

    it("own-ec to a client that asks for no name", function()
      assert.equal("own-ec", subject(s_client("imap", "-noservername")))
    end)

    it("that the client's algorithms can judge", function()
      assert.equal("own-rsa", subject(s_client("imap", "-noservername", "-sigalgs",
        "RSA-PSS+SHA256")))
      assert.equal("own-ec", subject(s_client("imap", "-noservername", "-sigalgs",
        "ECDSA+SHA256")))
      assert.equal("own-rsa", subject(s_client("imap", "-noservername", "-tls1_2", "-cipher",
        "ECDHE-RSA-AES128-GCM-SHA256")))
      assert.equal("own-ec", subject(s_client("imap", "-noservername", "-tls1_2", "-cipher",
        "ECDHE-ECDSA-AES128-GCM-SHA256")))
    end)

    it("only of names that are known, where it is told so", function()
      local text, code = s_client("names_only", "-servername", "else.test")
      assert.equal(1, code)
      assert.matches("unrecognized name", text)
      assert.truthy(gw:expect_log 'end=(tls_failed) log="no certificate for [^ ]+else.test')
      assert.equal("exact", subject(s_client("names_only", "-servername", "mail.b.test")))
      assert.equal("own-ec", subject(s_client("names_only", "-noservername")))
    end)
  end)

  it("tells policies the name and the protocol", function()
    local text = openssl.client(gw.ports.imap, { "-servername", "www.b.test", "-alpn", "imap" },
      "a LOGIN ann secret\r\nz LOGOUT\r\n")
    assert.matches("z OK", text)
    assert.truthy(gw:expect_log "(sni=www.b.test alpn=imap)")
  end)

  describe("agrees on a protocol by ALPN", function()
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      it("that is its own: " .. protocol, function()
        local text = openssl.client(gw.ports[protocol], { "-alpn", "h2," .. protocol },
          protocol == "imap" and QUIT or "QUIT\r\n")
        assert.matches("ALPN protocol: " .. protocol, text, 1, true)
      end)

      it("or not at all: " .. protocol, function()
        local text, code = openssl.client(gw.ports[protocol], { "-alpn", "h2,http/1.1" }, "")
        assert.equal(1, code)
        assert.matches("no application protocol", text)
        assert.truthy(gw:expect_log 'end=tls_failed log="(the client speaks another protocol)"')
      end)
    end

    it("if the client wants any", function()
      assert.matches("No ALPN negotiated", s_client "imap")
    end)
  end)

  describe("speaks", function()
    it("TLS 1.2 and 1.3 by default, and nothing older", function()
      assert.matches("New, TLSv1.2", s_client("imap", "-tls1_2"))
      assert.matches("New, TLSv1.3", s_client("imap", "-tls1_3"))
      for _, version in ipairs { "-tls1", "-tls1_1" } do
        local text, code = s_client("imap", version, "-cipher", "ALL:@SECLEVEL=0")
        assert.equal(1, code)
        assert.matches("protocol version", text)
      end
    end)

    it("the versions that it is told to", function()
      assert.matches("Protocol *: TLSv1\n", s_client("old", "-tls1", "-cipher", "ALL:@SECLEVEL=0"))
      assert.matches("Protocol *: TLSv1.1\n", s_client("old", "-tls1_1", "-cipher",
        "ALL:@SECLEVEL=0"))
      assert.matches("protocol version", s_client("newest", "-tls1_2"))
      assert.matches("protocol version", s_client("until_12", "-tls1_3"))
      assert.matches("New, TLSv1.2", s_client "until_12")
    end)

    it("the ciphers that it is told to, in its own order", function()
      assert.matches("Cipher is DHE%-RSA%-AES128%-GCM%-SHA256", s_client("ciphers", "-cipher",
        "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256"))
      assert.matches("handshake failure", s_client("ciphers", "-tls1_2", "-cipher",
        "ECDHE-RSA-AES128-GCM-SHA256"))
      local text = s_client "suites"
      assert.matches("Cipher is TLS_CHACHA20_POLY1305_SHA256", text)
      assert.matches("ECDH, [^\n]*384", text)
      assert.matches("handshake failure", s_client("suites", "-curves", "X25519"))
    end)

    it("what OpenSSL's own commands say, above all", function()
      assert.matches("Cipher is AES256%-SHA256", s_client "commands")
    end)
  end)

  it("is not begun again by the client", function()
    local text = openssl.client(gw.ports.imap, { "-tls1_2", "-no_ign_eof" }, "R\n")
    local after = text:match "RENEGOTIATING(.*)"
    -- The alert, or the greeting, which no client expects inside a handshake, comes first.
    assert.truthy(after:find "no renegotiation" or after:find "unexpected record")
    assert.is_nil(after:find "verify return")
    local session = gw:expect_log "(session=[^\n]*TLSv1.2[^\n]*)\n"
    assert.truthy(session)
    assert.matches("Secure Renegotiation IS supported", text)
  end)

  it("takes no early data", function()
    local session = os.tmpname()
    openssl.client(gw.ports.imap, { "-tls1_3", "-sess_out", session }, QUIT)
    local text = openssl.client(gw.ports.imap, { "-tls1_3", "-sess_in", session, "-early_data",
      authority.certificate }, QUIT)
    os.remove(session)
    assert.matches("Reused, TLSv1.3", text)
    assert.is_nil(text:find "Early data was accepted")
  end)

  for listener, time in pairs { hasty = "logins", brisk = "handshakes" } do
    it("that stalls ends with the time for " .. time, function()
      local c = client.connect(gw.ports[listener])
      tls.start(c, tls.client {}) -- the ClientHello
      c.sink = function() end     -- which is all
      assert.equal("timeout", gw:session_of(c)["end"])
      local mute = client.connect(gw.ports[listener])
      assert.equal("timeout", gw:session_of(mute)["end"])
      local half = client.connect(gw.ports[listener])
      half:send "\22\3\1\2\0\1\0"
      assert.equal("timeout", gw:session_of(half)["end"])
    end)
  end

  it("that stalls behind STARTTLS ends with the time for handshakes", function()
    local c = client.connect(gw.ports.brisk_starttls)
    c:expect "^%* OK"
    c:send_line "a STARTTLS":expect "^a OK"
    assert.equal("timeout", gw:session_of(c)["end"])
  end)

  -- OpenSSL's queue of errors is one a thread: what one connection leaves there another may find.
  it("that breaks disturbs nobody else", function()
    local good = {}
    for i = 1, 10 do
      good[i] = tls.connect(gw.ports.imap)
      good[i]:expect "^%* OK"
      if i % 2 == 0 then good[i]:send_line "a LOGIN ann secret":expect_until "^a OK" end
    end
    for round = 1, 5 do
      local bad = client.connect(gw.ports.imap)
      bad:send(("GET / HTTP/1.1\r\n\r\n"):rep(round))
      local alien = client.connect(gw.ports.imap)
      tls.start(alien, tls.client { ca = leaves.rsa.certificate }) -- trusts nobody here
      assert.is_nil(alien:attempt())
      local late = tls.connect(gw.ports.imap)
      late:send_raw(("\23\3\3\0\20"):rep(5) .. ("x"):rep(40))
      local dropped = tls.connect(gw.ports.imap)
      dropped:reset()
      for i, c in ipairs(good) do
        c:send_line(("n%d NOOP"):format(i))
        c:expect_until(("^n%d OK"):format(i))
      end
      assert.truthy(gw:session_of(bad))
      assert.truthy(gw:session_of(late))
    end
    for _, c in ipairs(good) do assert.is_nil(c.failure) end
  end)
end)
