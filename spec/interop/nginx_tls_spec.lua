--- Directives of ssl, beside the real nginx: what clients find, and what the auth server hears.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local nginx_pair = require "spec.support.nginx_pair"
local tls = require "spec.support.tls"

local MAIN = [[
user nobody nogroup;
worker_processes 1;
error_log stderr info;
pid nginx.pid;
events { worker_connections 256; }
]]

local MAIL = [[
  auth_http 127.0.0.1:@auth/auth;
  server_name mail.example.org;
  ssl_protocols TLSv1.2 TLSv1.3; # the default of later versions than Debian's
  ssl_certificate $ec.pem; ssl_certificate_key $ec.key;

  server { listen 127.0.0.1:@plain ssl; protocol imap; }
  server { listen 127.0.0.1:@old; protocol imap; ssl on; }
  server { listen 127.0.0.1:@two ssl; protocol imap;
           ssl_certificate $ec.pem; ssl_certificate_key $ec.key;
           ssl_certificate $rsa.pem; ssl_certificate_key $rsa.key; }
  server { listen 127.0.0.1:@sealed ssl; protocol imap;
           ssl_certificate $sealed.pem; ssl_certificate_key $sealed.key;
           ssl_password_file $passwords; }
  server { listen 127.0.0.1:@ciphers ssl; protocol imap; ssl_protocols TLSv1.2;
           ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256; }
  server { listen 127.0.0.1:@prefers ssl; protocol imap; ssl_protocols TLSv1.2;
           ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256;
           ssl_prefer_server_ciphers on; }
  server { listen 127.0.0.1:@versions ssl; protocol imap; ssl_protocols TLSv1.1 TLSv1.2;
           ssl_certificate $own.pem; ssl_certificate_key $own.key;
           ssl_ciphers DEFAULT:@SECLEVEL=0; }
  server { listen 127.0.0.1:@curve ssl; protocol imap; ssl_ecdh_curve secp384r1; }
  server { listen 127.0.0.1:@dh ssl; protocol imap; ssl_dhparam $dh.pem;
           ssl_certificate $rsa.pem; ssl_certificate_key $rsa.key;
           ssl_ciphers DHE-RSA-AES128-GCM-SHA256; }
  server { listen 127.0.0.1:@command ssl; protocol imap;
           ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; }

  server { listen 127.0.0.1:@none ssl; protocol imap; ssl_session_tickets off; }
  server { listen 127.0.0.1:@off ssl; protocol imap; ssl_session_tickets off;
           ssl_session_cache off; }
  server { listen 127.0.0.1:@builtin ssl; protocol imap; ssl_session_tickets off;
           ssl_session_cache builtin:1000; }
  server { listen 127.0.0.1:@shared ssl; protocol imap; ssl_session_tickets off;
           ssl_session_cache shared:MAIL:1m; }
  server { listen 127.0.0.1:@timeout ssl; protocol imap; ssl_session_timeout 7m; }
  server { listen 127.0.0.1:@keyed ssl; protocol imap;
           ssl_session_ticket_key $new.ticket; ssl_session_ticket_key $old.ticket; }

  server { listen 127.0.0.1:@imap; protocol imap; starttls on; }
  server { listen 127.0.0.1:@pop3; protocol pop3; starttls on; }
  server { listen 127.0.0.1:@smtp; protocol smtp; starttls on; }
  server { listen 127.0.0.1:@imaponly; protocol imap; starttls only; }
  server { listen 127.0.0.1:@pop3only; protocol pop3; starttls only; }
  server { listen 127.0.0.1:@smtponly; protocol smtp; starttls only; }

  ssl_client_certificate $ca.pem;
  server { listen 127.0.0.1:@verified ssl; protocol imap; ssl_verify_client on;
           auth_http_pass_client_cert on; imap_auth plain external; }
  server { listen 127.0.0.1:@verifiedpop3 ssl; protocol pop3; ssl_verify_client on;
           pop3_auth plain external; }
  server { listen 127.0.0.1:@verifiedsmtp ssl; protocol smtp; ssl_verify_client on;
           smtp_auth login external; }
  server { listen 127.0.0.1:@optional ssl; protocol imap; ssl_verify_client optional; }
  server { listen 127.0.0.1:@noca ssl; protocol imap; ssl_verify_client optional_no_ca; }
  server { listen 127.0.0.1:@deep ssl; protocol imap; ssl_verify_client on; ssl_verify_depth 2; }
  server { listen 127.0.0.1:@revoking ssl; protocol imap; ssl_verify_client on; ssl_crl $crl.pem; }
  server { listen 127.0.0.1:@trusted ssl; protocol imap; ssl_verify_client on;
           ssl_client_certificate $stranger.pem; ssl_trusted_certificate $ca.pem; }
]]

describe("ssl beside the real nginx:", function()
  local pair, authority, stranger, middle, lower, leaves
  setup(function()
    authority, stranger = ca.new(), ca.new "Stranger"
    middle = authority:below "Middle"
    lower = middle:below "Lower"
    leaves = {
      ec = authority:leaf {}, rsa = authority:leaf { kind = "rsa" },
      own = authority:leaf { kind = "rsa", self_signed = true },
      sealed = authority:leaf { passphrase = "open sesame" },
      good = authority:leaf { subject = "/O=A, B/CN=ann" },
      revoked = authority:leaf { subject = "/CN=revoked" },
      deep = lower:leaf { subject = "/CN=deep" },
      strange = stranger:leaf { subject = "/CN=strange" },
      expired = authority:leaf { subject = "/CN=expired", expired = true },
    }
    local folder = authority.folder
    assert.equal(0, (child.run { "openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt",
      "group:ffdhe3072", "-out", folder .. "/dh.pem" }))
    authority:write("passwords", "wrong\nopen sesame\n")
    authority:write("new.ticket", ("n"):rep(80))
    authority:write("old.ticket", ("o"):rep(48))
    local paths = { ["$ca.pem"] = authority.certificate, ["$crl.pem"] = authority:revoke(
      leaves.revoked), ["$stranger.pem"] = stranger.certificate }
    for name, leaf in pairs(leaves) do
      paths["$" .. name .. ".pem"], paths["$" .. name .. ".key"] = leaf.certificate, leaf.key
    end
    local mail = MAIL:gsub("%$[%w.]+", function(name)
      return paths[name] or folder .. "/" .. name:sub(2)
    end)
    pair = nginx_pair.start { main = MAIN, mail = mail }
  end)
  after_each(function() pair:clear() end)
  teardown(function()
    pair:stop()
    for _, one in ipairs { authority, stranger, middle, lower } do one:remove() end
  end)

  --- What a client finds, as one text.
  local function facts(port, how)
    local c = tls.start(client.connect(port), tls.client(how))
    if not c:attempt() then return c.failure or "no TLS" end
    local greeting = c:expect "^%* OK.*$"
    return table.concat({ c:version(), c:cipher(), c:group() or "no group", c:peer_subject(),
      "lifetime " .. c:lifetime(), greeting }, "\n")
  end

  --- That a client finds the same of both, and what is expected.
  local function finds(name, how, ...)
    local expected, here = facts(pair.real.at[name], how), facts(pair.gw.at[name], how)
    assert.equal(expected, here)
    for _, pattern in ipairs { ... } do assert.matches(pattern, here) end
  end

  local LEGACY = { max = "1.1", min = "1.1", ciphers = "DEFAULT:@SECLEVEL=0" }

  it("listen ssl: the certificate, and nginx's own ciphers", function()
    finds("plain", {}, "TLSv1.3\nTLS_AES_256_GCM_SHA384", "%* OK IMAP4 ready")
    finds("plain", { max = "1.2" }, "TLSv1.2\nECDHE%-ECDSA%-AES256")
    finds("plain", LEGACY, "alert protocol version")
  end)

  it("ssl on, of old configurations", function()
    finds("old", {}, "TLSv1.3", "%* OK IMAP4 ready")
  end)

  it("ssl_certificate and ssl_certificate_key: one for each kind of key", function()
    finds("two", { max = "1.2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256" }, "ECDHE%-RSA")
    finds("two", { max = "1.2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }, "ECDHE%-ECDSA")
  end)

  it("ssl_password_file: one of its lines opens the key", function()
    finds("sealed", {}, "%* OK IMAP4 ready")
  end)

  it("ssl_protocols: those that are named", function()
    finds("versions", LEGACY, "TLSv1.1", "%* OK")
    finds("versions", { max = "1.2" }, "TLSv1.2", "%* OK")
    finds("versions", { min = "1.3" }, "alert protocol version")
    finds("ciphers", { min = "1.3" }, "alert protocol version")
  end)

  local ORDER = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"

  it("ssl_ciphers: none but these, in the order of the client", function()
    finds("ciphers", { ciphers = ORDER }, "AES128%-GCM")
    finds("ciphers", { max = "1.2", ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" },
      "alert handshake failure")
  end)

  it("ssl_prefer_server_ciphers: in the order of the server", function()
    finds("prefers", { ciphers = ORDER }, "AES256%-GCM")
  end)

  it("ssl_ecdh_curve: this one and no other", function()
    finds("curve", {}, "secp384r1 384", "%* OK")
    finds("curve", { groups = "X25519" }, "alert handshake failure")
  end)

  it("ssl_dhparam: the parameters of the file", function()
    finds("dh", { max = "1.2", ciphers = "DHE-RSA-AES128-GCM-SHA256" }, "3072\n", "%* OK")
  end)

  it("ssl_conf_command: a setting of OpenSSL's", function()
    finds("command", {}, "TLS_CHACHA20_POLY1305_SHA256", "%* OK")
  end)

  it("ALPN: the protocol's own name and no other", function()
    finds("plain", { alpn = "imap" }, "%* OK")
    finds("plain", { alpn = "pop3" }, "alert no application protocol")
  end)

  --- Whether a second visit with the session of the first resumes; `version` of TLS.
  local function resumes(at, name, version)
    local c = tls.connect(at[name], { max = version })
    c:expect "^%* OK"
    local session = c:session()
    c = tls.connect(at[name], { max = version, session = session })
    c:expect "^%* OK"
    return c:is_resumed()
  end

  local function both_resume(expected, name, version)
    assert.equal(expected, resumes(pair.real.at, name, version), "nginx")
    assert.equal(expected, resumes(pair.gw.at, name, version))
  end

  it("ssl_session_tickets: on, and off", function()
    finds("plain", { max = "1.2" }, "lifetime 300\n")
    finds("none", { max = "1.2" }, "lifetime 0\n")
    both_resume(true, "plain", "1.2")
    both_resume(true, "plain", "1.3")
    both_resume(false, "none", "1.2")
  end)

  it("ssl_session_cache: off, none, builtin and shared", function()
    both_resume(false, "off", "1.2")
    both_resume(false, "none", "1.2")
    both_resume(true, "builtin", "1.2")
    both_resume(true, "shared", "1.2")
  end)

  it("ssl_session_timeout: the life of a session, as clients are told", function()
    finds("timeout", { max = "1.2" }, "lifetime 420\n")
  end)

  it("ssl_session_ticket_key: tickets outlive the program", function()
    local sessions = {}
    for _, name in ipairs { "keyed", "plain" } do
      local c = tls.connect(pair.gw.at[name], { max = "1.2" })
      c:expect "^%* OK"
      sessions[name] = c:session()
      c:close()
    end
    pair.gw:halt()
    pair.gw:run()
    for _, name in ipairs { "keyed", "plain" } do
      local c = tls.connect(pair.gw.at[name], { max = "1.2", session = sessions[name] })
      c:expect "^%* OK"
      assert.equal(name == "keyed", c:is_resumed(), name)
    end
  end)

  -- STARTTLS

  local PLAIN = client.plain("u", "p w%")

  for name, steps in pairs {
    imap = { { upto = "^%* OK" }, { send = "a CAPABILITY\r\n", upto = "^a OK" },
      { send = "b STARTTLS\r\n", upto = "^b OK" },
      { tls = {}, send = "c CAPABILITY\r\n", upto = "^c OK" },
      { send = "d STARTTLS\r\n", upto = "^d BAD" },
      { send = "e LOGIN u \"p w%\"\r\n", upto = "^e OK" } },
    pop3 = { { upto = "^%+OK" }, { send = "CAPA\r\n", upto = "^%.$" },
      { send = "STLS\r\n", upto = "^%+OK" }, { tls = {}, send = "CAPA\r\n", upto = "^%.$" },
      { send = "STLS\r\n", upto = "^%-ERR" }, { send = "USER u\r\n", upto = "^%+OK" },
      { send = "PASS p w%\r\n", upto = "^%+OK" } },
    smtp = { { upto = "^220" }, { send = "EHLO x\r\n", upto = "^250 " },
      { send = "STARTTLS\r\n", upto = "^220" }, { tls = {}, send = "EHLO x\r\n", upto = "^250 " },
      { send = "STARTTLS\r\n", upto = "^500" }, { send = "AUTH PLAIN " .. PLAIN .. "\r\n",
        upto = "^235" } },
  } do
    it("starttls on: offered, and of use once: " .. name, function()
      local request = pair:asks(name, steps)
      assert.equal("on", request.headers["auth-ssl"])
      assert.equal("TLSv1.3", request.headers["auth-ssl-protocol"])
      assert.equal("TLS_AES_256_GCM_SHA384", request.headers["auth-ssl-cipher"])
    end)
  end

  for name, steps in pairs {
    imaponly = { { upto = "^%* OK" }, { send = "a CAPABILITY\r\n", upto = "^a OK" },
      { send = "b LOGIN u p\r\n", upto = "^b BAD" },
      { send = "b AUTHENTICATE PLAIN\r\n", upto = "^b BAD" },
      { send = "b STARTTLS\r\n", upto = "^b OK" },
      { tls = {}, send = "c CAPABILITY\r\n", upto = "^c OK" },
      { send = "e LOGIN u p\r\n", upto = "^e OK" } },
    pop3only = { { upto = "^%+OK" }, { send = "CAPA\r\n", upto = "^%.$" },
      { send = "USER u\r\n", upto = "^%-ERR" }, { send = "AUTH PLAIN\r\n", upto = "^%-ERR" },
      { send = "STLS\r\n", upto = "^%+OK" }, { tls = {}, send = "CAPA\r\n", upto = "^%.$" },
      { send = "USER u\r\n", upto = "^%+OK" }, { send = "PASS p\r\n", upto = "^%+OK" } },
    smtponly = { { upto = "^220" }, { send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH PLAIN " .. PLAIN .. "\r\n", upto = "^5" },
      { send = "STARTTLS\r\n", upto = "^220" }, { tls = {}, send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH PLAIN " .. PLAIN .. "\r\n", upto = "^235" } },
  } do
    it("starttls only: no login in clear: " .. name, function() pair:asks(name, steps) end)
  end

  -- certificates of clients

  --- What is first heard with the certificate, from both; where one is let in.
  local function greets(name, leaf, expected)
    local step = { tls = { leaf = leaf and leaves[leaf] } }
    step[expected:find "OK" and "upto" or "ends"] = expected
    pair:both(name, { step })
  end

  it("ssl_verify_client on: who has none, or one of somebody else's", function()
    greets("verified", "good", "^%* OK IMAP4 ready$")
    greets("verified", nil, "^%* BYE No required SSL certificate$")
    greets("verified", "strange", "^%* BYE SSL certificate error$")
    greets("verified", "expired", "^%* BYE SSL certificate error$")
    greets("verifiedpop3", nil, "^%-ERR No required SSL certificate$")
    greets("verifiedpop3", "strange", "^%-ERR SSL certificate error$")
    greets("verifiedsmtp", nil, "^421 4.7.1 No required SSL certificate$")
    greets("verifiedsmtp", "strange", "^421 4.7.1 SSL certificate error$")
  end)

  it("ssl_verify_client optional and optional_no_ca", function()
    greets("optional", nil, "^%* OK")
    greets("optional", "good", "^%* OK")
    greets("optional", "strange", "^%* BYE SSL certificate error$")
    greets("noca", nil, "^%* OK")
    greets("noca", "strange", "^%* OK")
  end)

  it("ssl_verify_depth: a chain that is too long, or not", function()
    greets("verified", "deep", "^%* BYE SSL certificate error$")
    greets("deep", "deep", "^%* OK")
  end)

  it("ssl_crl: one that was revoked", function()
    greets("verified", "revoked", "^%* OK")
    greets("revoking", "revoked", "^%* BYE SSL certificate error$")
    greets("revoking", "good", "^%* OK")
  end)

  it("ssl_client_certificate is told to clients, ssl_trusted_certificate is not", function()
    for name, expected in pairs { verified = "/CN=Spec CA", trusted = "/CN=Stranger" } do
      for _, at in ipairs { pair.real.at, pair.gw.at } do
        local c = tls.connect(at[name], { leaf = leaves.good })
        c:expect "^%* OK"
        assert.same({ expected }, c:authorities())
      end
    end
    greets("trusted", "good", "^%* OK")
    greets("trusted", "strange", "^%* OK")
  end)

  local LOGIN = { send = "a LOGIN u p\r\n", upto = "^a OK" }

  it("auth_http_pass_client_cert: the certificate, beside what is told of it", function()
    local request = pair:asks("verified", { { tls = { leaf = leaves.good }, upto = "^%* OK" },
      LOGIN })
    assert.equal("SUCCESS", request.headers["auth-ssl-verify"])
    assert.matches("^%-%-%-%-%-BEGIN%%20CERTIFICATE%-%-%-%-%-%%0A",
      request.headers["auth-ssl-cert"])
    request = pair:asks("deep", { { tls = { leaf = leaves.deep }, upto = "^%* OK" }, LOGIN })
    assert.is_nil(request.headers["auth-ssl-cert"])
  end)

  it("what is told of a certificate that is missing, or of nobody known", function()
    local request = pair:asks("noca", { { tls = { leaf = leaves.strange }, upto = "^%* OK" },
      LOGIN })
    assert.matches("^FAILED:", request.headers["auth-ssl-verify"])
    request = pair:asks("optional", { { tls = {}, upto = "^%* OK" }, LOGIN })
    assert.equal("NONE", request.headers["auth-ssl-verify"])
  end)

  for name, steps in pairs {
    verified = { { send = "a CAPABILITY\r\n", upto = "^a OK" },
      { send = "a AUTHENTICATE EXTERNAL\r\n", upto = "^%+" },
      { send = "YW5u\r\n", upto = "^a OK" } },
    verifiedpop3 = { { send = "CAPA\r\n", upto = "^%.$" },
      { send = "AUTH EXTERNAL\r\n", upto = "^%+" }, { send = "YW5u\r\n", upto = "^%+OK" } },
    verifiedsmtp = { { send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH EXTERNAL\r\n", upto = "^334" }, { send = "YW5u\r\n", upto = "^235" } },
  } do
    it("EXTERNAL, a login by certificate: " .. name, function()
      pair.answer = function(request)
        return pair:ok(request, { ["Auth-User"] = "ann@b", ["Auth-Pass"] = "secret" })
      end
      table.insert(steps, 1, { tls = { leaf = leaves.good }, upto = "." })
      local request = pair:asks(name, steps)
      assert.equal("external", request.headers["auth-method"])
      assert.equal("ann", request.headers["auth-user"])
      local server = pair[request.headers["auth-protocol"]]
      assert.equal(server:peer(1):all(), server:peer(2):all())

      -- at once
      local last = table.remove(steps)
      steps[#steps] = { send = steps[#steps].send:gsub("\r\n", " YW5u\r\n"), upto = last.upto }
      request = pair:asks(name, steps)
      assert.equal("ann", request.headers["auth-user"])
    end)
  end
end)
