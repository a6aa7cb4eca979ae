--- Certificates of clients: who must show one, what is said when it is bad, who hears of it.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local openssl = require "spec.support.openssl"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
local auth = require("moongate.auth_http").new { url = "%s", pass_client_cert = true }
return { auth = function(session, credentials)
  local shown = session.tls and session.tls.client_cert
  session:log("info", "knows " .. tostring(shown and shown.subject) .. " verify="
    .. tostring(shown and shown.verify))
  return auth(session, credentials)
end }
]]

describe("a client's certificate", function()
  local authority, stranger, middle, lower, leaves, gw, up, auth

  setup(function()
    authority, stranger = ca.new(), ca.new "Stranger"
    leaves = {
      own = authority:leaf {},
      good = authority:leaf { subject = "/O=A, B\\+C/CN=ann" },
      expired = authority:leaf { subject = "/CN=expired", expired = true },
      revoked = authority:leaf { subject = "/CN=revoked" },
      strange = stranger:leaf { subject = "/CN=strange" },
      alone = authority:leaf { subject = "/CN=alone", self_signed = true },
    }
    middle = authority:below "Middle"
    lower = middle:below "Lower"
    leaves.deep = middle:leaf { subject = "/CN=deep" }
    leaves.deeper = lower:leaf { subject = "/CN=deeper" }
    local crl = authority:revoke(leaves.revoked)

    up = upstream.start { script = upstream.imap() }
    auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(up.port) } }
    end }
    local listen = {}
    local function add(name, protocol, mode, more)
      listen[name] = { protocol = protocol, more = ([[tls = { mode = %q, certificate = %q, key = %q,
        %s }]]):format(mode, leaves.own.certificate, leaves.own.key, more) }
    end
    local ours = ("ca = %q, "):format(authority.certificate)
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      add(protocol, protocol, "implicit", ours .. 'client_certificate = "required"')
    end
    add("starttls", "imap", "starttls", ours .. 'client_certificate = "required"')
    add("off", "imap", "implicit", "")
    add("optional", "imap", "implicit", ours .. 'client_certificate = "optional"')
    add("no_ca", "imap", "implicit", 'client_certificate = "optional_no_ca"')
    add("revoking", "imap", "implicit", ours .. ('client_certificate = "required", crl = %q')
      :format(crl))
    add("deeper", "imap", "implicit", ours .. 'client_certificate = "required", verify_depth = 2')
    add("untold", "imap", "implicit", ('trusted_ca = %q, client_certificate = "required"')
      :format(authority.certificate))
    gw = site.start { listen = listen, policy = POLICY:format(auth.url) }
  end)

  teardown(function()
    for _, one in pairs { up, auth } do one:stop() end
    if gw then gw:stop() end
    for _, one in pairs { authority, stranger, middle, lower } do one:remove() end
  end)

  after_each(function()
    client.discard_all()
    up:clear()
    auth.requests = {}
  end)

  --- The first line that a client with this certificate hears, and the client.
  local function greeting(listener, leaf, version)
    local c = tls.connect(gw.ports[listener], { leaf = leaf and leaves[leaf], max = version })
    return c:read_line(), c
  end

  local NONE, BAD = "No required SSL certificate", "SSL certificate error"
  local WORDS = { imap = "* BYE %s", pop3 = "-ERR %s", smtp = "421 4.7.1 %s" }
  local HELLO = { imap = "^%* OK", pop3 = "^%+OK", smtp = "^220" }

  for _, version in ipairs { "1.2", "1.3" } do
    for protocol, words in pairs(WORDS) do
      it(("lets in who has a good one: %s, TLS %s"):format(protocol, version), function()
        assert.matches(HELLO[protocol], (greeting(protocol, "good", version)))
      end)

      it(("is missed inside TLS: %s, TLS %s"):format(protocol, version), function()
        local line, c = greeting(protocol, nil, version)
        assert.equal(words:format(NONE), line)
        c:expect_end "eof"
        assert.equal("tls_certificate", gw:session_of(c)["end"])
      end)

      for _, leaf in ipairs { "strange", "expired", "alone" } do
        it(("is refused inside TLS when it is %s: %s, TLS %s"):format(leaf, protocol, version),
          function()
            local line, c = greeting(protocol, leaf, version)
            assert.equal(words:format(BAD), line)
            c:expect_end "eof"
            assert.equal("tls_certificate", gw:session_of(c)["end"])
          end)
      end
    end
  end

  it("is looked at behind STARTTLS, too", function()
    for leaf, expected in pairs { good = "^b OK", strange = "^%* BYE SSL certificate error$" } do
      local c = client.connect(gw.ports.starttls)
      c:expect "^%* OK"
      c:send_line("a STARTTLS"):expect "^a OK"
      tls.start(c, tls.client { leaf = leaves[leaf] }):handshake()
      c:send_line("b NOOP"):expect(expected)
    end
  end)

  it("is not asked for where that is off", function()
    local line, c = greeting("off", "strange")
    assert.matches("^%* OK", line)
    c:send_line "a LOGIN ann secret":expect_until "^a OK"
    assert.truthy(gw:expect_log "(knows nil verify=nil)")
  end)

  it("may be missing when it is optional, but not bad", function()
    assert.matches("^%* OK", (greeting "optional"))
    assert.matches("^%* OK", (greeting("optional", "good")))
    assert.equal("* BYE " .. BAD, (greeting("optional", "strange")))
  end)

  it("may be of anybody where nobody is named, but not expired", function()
    assert.matches("^%* OK", (greeting "no_ca"))
    assert.matches("^%* OK", (greeting("no_ca", "strange")))
    assert.matches("^%* OK", (greeting("no_ca", "alone")))
    assert.equal("* BYE " .. BAD, (greeting("no_ca", "expired")))
  end)

  it("may be revoked", function()
    assert.matches("^%* OK", (greeting("revoking", "good")))
    assert.equal("* BYE " .. BAD, (greeting("revoking", "revoked")))
    assert.matches("^%* OK", (greeting("imap", "revoked")))
  end)

  it("may not be further from its authority than allowed", function()
    assert.matches("^%* OK", (greeting("imap", "deep")))
    assert.equal("* BYE " .. BAD, (greeting("imap", "deeper")))
    assert.matches("^%* OK", (greeting("deeper", "deeper")))
  end)

  it("can be chosen by the authorities that the client is told", function()
    local text = openssl.client(gw.ports.imap, {}, "")
    assert.matches("Acceptable client certificate CA names\nCN = Spec CA", text)
    assert.matches("No client certificate CA names sent", openssl.client(gw.ports.untold, {}, ""))
    assert.matches("^%* OK", (greeting("untold", "good")))
  end)

  describe("is told to auth servers", function()
    local function headers(listener, leaf)
      local _, c = greeting(listener, leaf)
      c:send_line "a LOGIN ann secret":expect_until "^a OK"
      local request = auth.requests[1]
      return function(name) return request.head:match("\r\n" .. name .. ": ([^\r\n]*)\r\n") end
    end

    it("with all that nginx tells, byte for byte", function()
      local header = headers("imap", "good")
      assert.equal("on", header "Auth%-SSL")
      assert.equal("TLSv1.3", header "Auth%-SSL%-Protocol")
      assert.equal("TLS_AES_256_GCM_SHA384", header "Auth%-SSL%-Cipher")
      assert.equal("SUCCESS", header "Auth%-SSL%-Verify")
      local subject = ca.fact(leaves.good, "-subject", "-nameopt", "RFC2253"):match "^subject=(.*)"
      assert.matches("A\\, B\\+C", subject, 1, true)
      assert.equal(subject, header "Auth%-SSL%-Subject")
      assert.equal("CN=Spec CA", header "Auth%-SSL%-Issuer")
      assert.equal(ca.fact(leaves.good, "-serial"):match "=(%x+)", header "Auth%-SSL%-Serial")
      local print = ca.fact(leaves.good, "-fingerprint", "-sha1"):match "=(%S+)"
      assert.equal(print:gsub(":", ""):lower(), header "Auth%-SSL%-Fingerprint")
      assert.equal((ca.read(leaves.good.certificate):gsub("[%c %%]", function(byte)
        return ("%%%02X"):format(byte:byte())
      end)), header "Auth%-SSL%-Cert")
      assert.truthy(gw:expect_log "(knows [^\n]*CN=ann[^\n]* verify=SUCCESS)")
    end)

    it("when it is missing", function()
      local header = headers "optional"
      assert.equal("NONE", header "Auth%-SSL%-Verify")
      for _, name in ipairs { "Subject", "Issuer", "Serial", "Fingerprint", "Cert" } do
        assert.is_nil(header("Auth%-SSL%-" .. name))
      end
    end)

    it("when it is bad", function()
      local header = headers("no_ca", "strange")
      assert.matches("^FAILED:unable to ", header "Auth%-SSL%-Verify")
      assert.equal("CN=strange", header "Auth%-SSL%-Subject")
      assert.equal("CN=Stranger", header "Auth%-SSL%-Issuer")
    end)

    it("unless nobody asks for it", function()
      local header = headers("off", "good")
      assert.equal("on", header "Auth%-SSL")
      assert.is_nil(header "Auth%-SSL%-Verify")
      assert.is_nil(header "Auth%-SSL%-Cert")
    end)
  end)
end)
