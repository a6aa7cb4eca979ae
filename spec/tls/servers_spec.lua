--- Real clients reach a real Dovecot and Postfix, with TLS on both sides of the gateway. The
-- servers demand the gateway's certificate.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local json = require "cjson"
local servers = require "spec.support.servers"
local stat = require "posix.sys.stat"

local ERIN, PASSWORD = "erin@example.org", "moonlight"

local DOVECOT = [[
ssl = required
ssl_cert = <%s
ssl_key = <%s
ssl_ca = <%s
ssl_require_crl = no
ssl_verify_client_cert = yes
protocol imap {
  auth_ssl_require_client_cert = yes
}
protocol pop3 {
  auth_ssl_require_client_cert = yes
}
service imap-login {
  inet_listener imaps {
    port = $imaps
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3s {
    port = $pop3s
    ssl = yes
  }
}
]]

local POSTFIX = [[
smtpd_tls_cert_file = %s
smtpd_tls_key_file = %s
smtpd_tls_CAfile = %s
smtpd_tls_req_ccert = yes
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
]]

local POLICY = [[
local moongate = require "moongate"
local ports = %s
return {
  auth = function() return moongate.accept {} end, -- the servers check the password themselves
  route = function(session)
    local port = ports[session.listener] or ports[session.protocol]
    local direct = session.listener == "imaps" or session.listener == "pop3s"
    return moongate.to { host = "127.0.0.1", port = port,
      tls = direct and "implicit" or "starttls", server_name = "mx.example.org" }
  end,
}
]]

describe("with TLS on both sides", function()
  local authority, private, gw, leaves

  setup(function()
    authority = ca.new()
    leaves = {
      own = authority:leaf { subject = "/CN=127.0.0.1",
        names = { "IP:127.0.0.1", "DNS:localhost" }, kind = "rsa" },
      server = authority:leaf { names = { "DNS:mx.example.org" } },
      gateway = authority:leaf { subject = "/CN=gateway.example.org",
        extensions = "extendedKeyUsage=clientAuth" },
    }
    local server = { leaves.server.certificate, leaves.server.key, authority.certificate }
    private = servers.start { users = { [ERIN] = PASSWORD }, submission_tls = "encrypt",
      ports = { "imaps", "pop3s" }, dovecot = DOVECOT:format(unpack(server)),
      postfix = POSTFIX:format(unpack(server)) }
    local parts = {}
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      for name, mode in pairs { [protocol .. "s"] = "implicit", [protocol] = "required" } do
        table.insert(parts, ([[c.listen %q { address = "127.0.0.1:0", protocol = %q,
          policy = "users", tls = { mode = %q, certificate = %q, key = %q } },]]):format(name,
          protocol, mode, leaves.own.certificate, leaves.own.key))
      end
    end
    gw = gateway.start { files = {
      ["moongate.lua"] = ([[
local c = require "moongate.config"
return c.gateway { workers = 2, user = "nobody",
  tls_profiles = { default = { ca = %q, certificate = %q, key = %q } },
  %s
}]]):format(authority.certificate, leaves.gateway.certificate, leaves.gateway.key,
        table.concat(parts, "\n")),
      ["scripts/users.lua"] = POLICY:format(
        ("{ imap = %d, pop3 = %d, smtp = %d, imaps = %d, pop3s = %d }"):format(private.imap,
          private.pop3, private.submission, private.imaps, private.pop3s)),
    } }
  end)

  teardown(function()
    if gw then gw:stop() end
    if private then private:stop() end
    if authority then authority:remove() end
  end)

  --- Runs a client and returns its output; it must end with `status`, or 0.
  local function client(command, status)
    local code, output = child.run(command)
    assert(code == (status or 0), ("%s ended with %s:\n%s\n%s"):format(command[1], code, output,
      gw:log()))
    return output
  end

  local function curl(url, ...)
    return { "curl", "-sS", "-m", "20", "--cacert", authority.certificate, "-u",
      ERIN .. ":" .. PASSWORD, url, ... }
  end

  local function url(scheme, path)
    return ("%s://127.0.0.1:%d/%s"):format(scheme, gw.ports[scheme], path)
  end

  local function node(script, port, ...)
    return { "node", "spec/interop/" .. script, tostring(port), ERIN, PASSWORD, environment = {
      NODE_PATH = "build/npm/node_modules", NODE_EXTRA_CA_CERTS = authority.certificate }, ... }
  end

  describe("curl", function()
    for _, scheme in ipairs { "imap", "imaps" } do
      it("fetches a mail by " .. scheme, function()
        private:deliver(ERIN, "for curl", "one\ntwo")
        local text = client(curl(url(scheme, "INBOX;UID=1"), "--ssl-reqd"))
        assert.matches("one\r\ntwo\r\n", text, 1, true)
      end)
    end

    for _, scheme in ipairs { "pop3", "pop3s" } do
      it("fetches a mail by " .. scheme, function()
        private:deliver(ERIN, "for curl", "one\ntwo")
        local text = client(curl(url(scheme, "1"), "--ssl-reqd"))
        assert.matches("one\r\ntwo\r\n", text, 1, true)
      end)
    end

    for _, scheme in ipairs { "smtp", "smtps" } do
      it("sends a mail by " .. scheme, function()
        client(curl(url(scheme, ""), "--ssl-reqd", "--mail-from", ERIN, "--mail-rcpt", ERIN, "-T",
          "CMakeLists.txt"))
      end)
    end

    it("can't log in by a protocol in clear", function()
      for _, scheme in ipairs { "imap", "pop3", "smtp" } do
        local code = child.run(curl(url(scheme, ""), "--mail-from", ERIN, "--mail-rcpt", ERIN))
        assert.not_equal(0, code)
      end
    end)

    it("refuses a gateway of an unknown authority", function()
      client({ "curl", "-sS", "-u", "a:b", url("imaps", "") }, 60)
    end)
  end)

  describe("swaks", function()
    for option, port in pairs { ["--tls"] = "smtp", ["--tls-on-connect"] = "smtps" } do
      it("sends with " .. option, function()
        local output = client { "swaks", "--server", "127.0.0.1:" .. gw.ports[port], option,
          "--tls-verify", "--tls-ca-path", authority.certificate, "--auth", "PLAIN", "--auth-user",
          ERIN, "--auth-password", PASSWORD, "--from", ERIN, "--to", ERIN }
        local id = assert(output:match "queued as (%w+)", output)
        private.postfix:expect("lmtp%[%d+%]: " .. id .. ": [^\n]-status=(sent)")
      end)
    end
  end)

  for mode, port in pairs { tls = "imaps", starttls = "imap" } do
    it("ImapFlow reads, appends and hears of new mail, mode " .. mode, function()
      local got = json.decode(client(node("imapflow.js", gw.ports[port], mode)))
      assert.equal(got.before + 1, got.count)
      assert.equal("Subject: from ImapFlow\r\n\r\nbody\r\n", got.source)
    end)
  end

  for mode, port in pairs { tls = "smtps", starttls = "smtp" } do
    it("Nodemailer sends, mode " .. mode, function()
      local got = json.decode(client(node("nodemailer.js", gw.ports[port], ERIN, "PLAIN", mode)))
      assert.same({ ERIN }, got.accepted)
    end)
  end

  for kind, port in pairs { IMAPS = "imaps", STARTTLS = "imap" } do
    it("mbsync copies a mailbox, SSLType " .. kind, function()
      private:deliver(ERIN, "for mbsync " .. kind, "text")
      local folder = authority.folder .. "/" .. kind
      for _, name in ipairs { "", "/new", "/cur", "/tmp" } do stat.mkdir(folder .. name, 493) end
      local rc = authority:write("mbsyncrc", ([[
IMAPAccount gateway
Host 127.0.0.1
Port %d
User %s
Pass "%s"
SSLType %s
CertificateFile %s
AuthMechs *

IMAPStore far
Account gateway

MaildirStore near
Inbox %s

Channel both
Far :far:
Near :near:
Sync Pull
SyncState *
]]):format(gw.ports[port], ERIN, PASSWORD, kind, authority.certificate, folder))
      client { "mbsync", "-c", rc, "both" }
      assert.matches("Subject: for mbsync " .. kind,
        client { "sh", "-c", "cat " .. folder .. "/*/*" }, 1, true)
    end)
  end

  it("fetchmail fetches with --ssl", function()
    private:deliver(ERIN, "for fetchmail", "text")
    local folder = authority.folder
    local rc = authority:write("fetchmailrc", ([[
set no bouncemail
set pidfile "%s/pid"
set idfile "%s/ids"
poll 127.0.0.1 service %d protocol imap auth password
  username "%s" password "%s" ssl sslcommonname localhost sslcertck sslcertfile "%s"
  fetchall keep mda "cat >>%s/out"
]]):format(folder, folder, gw.ports.imaps, ERIN, PASSWORD, authority.certificate, folder))
    stat.chmod(rc, 448)
    client { "fetchmail", "-f", rc, "--nodetach", "--nosyslog" }
    assert.matches("Subject: for fetchmail", ca.read(folder .. "/out"), 1, true)
  end)

  it("the servers have seen the gateway's certificate, and TLS", function()
    client(curl(url("imaps", "INBOX")))
    local login = "imap%-login: Info: (Login: user=<erin@example.org>[^\n]*TLS)"
    assert.truthy(private.dovecot:expect(login))
    assert.truthy(private.postfix:expect "(Trusted TLS connection established from [^\n]*TLSv1.3)")
  end)

  it("a wrong password is refused by the server itself", function()
    for _, scheme in ipairs { "imaps", "pop3s" } do
      client({ "curl", "-sS", "-m", "20", "--cacert", authority.certificate, "-u", ERIN .. ":wrong",
        url(scheme, "") }, 67)
    end
  end)
end)
