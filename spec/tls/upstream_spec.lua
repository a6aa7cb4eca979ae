--- TLS towards upstreams: who is believed, what is shown, and that nothing secret goes elsewhere.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local site = require "spec.support.site"
local stat = require "posix.sys.stat"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local GREETED = { imap = "^%* OK", pop3 = "^%+OK", smtp = "^220" }

describe("TLS with an upstream", function()
  local authority, stranger, folder, leaves, gw, servers, up, fallback, auth
  local how, fallback_how -- of the upstreams' TLS, for the next connection; nil: none

  setup(function()
    authority, stranger = ca.new(), ca.new "Stranger"
    local names = { "DNS:mx.spec.test", "IP:127.0.0.1" }
    leaves = {
      good = authority:leaf { names = names },
      other = authority:leaf { names = { "DNS:elsewhere.test", "IP:127.0.0.2" } },
      nameless = authority:leaf { subject = "/CN=mx.spec.test" },
      wildcard = authority:leaf { names = { "DNS:*.spec.test" } },
      expired = authority:leaf { names = names, expired = true },
      self_signed = authority:leaf { names = names, self_signed = true },
      strange = stranger:leaf { names = names },
      revoked = authority:leaf { names = names },
      gateway = authority:leaf { subject = "/CN=gateway" },
    }
    local crl = authority:revoke(leaves.revoked)
    folder = authority.folder .. "/trusted"
    stat.mkdir(folder, 493)
    authority:write("trusted/notes.txt", "not looked at: -----BEGIN CERTIFICATE-----\n")
    authority:join("trusted/first.pem", authority.certificate)
    servers = {}
    for protocol in pairs(GREETED) do
      servers[protocol] = upstream.start { name = protocol, script = function(peer)
        tls.start(peer, how)
        if peer:attempt() then upstream[protocol]()(peer) end
      end }
    end
    up = servers.imap
    fallback = upstream.start { name = "fallback", script = function(peer)
      if fallback_how then tls.start(peer, fallback_how) end
      if not fallback_how or peer:attempt() then upstream.imap()(peer) end
    end }
    local listen = {}
    for protocol in pairs(GREETED) do listen[protocol] = { protocol = protocol } end
    for _, name in ipairs { "bare", "auth_http" } do
      listen[name] = { protocol = "imap", more = 'upstream_tls = "implicit",' }
    end
    auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(up.port) } }
    end }
    gw = site.start { listen = listen, more = ([[tls_profiles = {
        default = { ca = %q },
        shows = { ca = %q, certificate = %q, key = %q },
        shows_12 = { ca = %q, certificate = %q, key = %q, max_version = "1.2" },
        strict = { ca = %q, min_version = "1.3" },
        old = { ca = %q, max_version = "1.2" },
        revoking = { ca = %q, crl = %q },
        system = {},
        commanded = { ca = %q, commands = { "VerifyMode -Peer" } },
        folder = { ca = %q },
      },]]):format(authority.certificate, authority.certificate, leaves.gateway.certificate,
        leaves.gateway.key, authority.certificate, leaves.gateway.certificate,
        leaves.gateway.key, authority.certificate, authority.certificate, authority.certificate,
        crl, authority.certificate, folder),
      policy = ([[
local check = require "moongate.auth_http".new { url = %q }
local ports = { imap = %d, pop3 = %d, smtp = %d }
local routes = {
  plain = {},
  named = { server_name = "mx.spec.test" },
  wrong_name = { server_name = "mx.other.test" },
  unverified = { verify = false },
  pinned = { verify = false, pin = %q },
  pinned_and_verified = { pin = %q, server_name = "mx.spec.test" },
  pinned_twice = { verify = false, pin = { %q, %q } },
  shows = { profile = "shows" },
  shows_12 = { profile = "shows_12" },
  strict = { profile = "strict" },
  old = { profile = "old" },
  revoking = { profile = "revoking" },
  system = { profile = "system" },
  nowhere = { profile = "nowhere" },
  commanded = { profile = "commanded" },
  folder = { profile = "folder" },
  fallback = { fallback = "127.0.0.1:%d" },
  falls_back = { profile = "strict", fallback = "127.0.0.1:%d" },
}
return {
  auth = function(session, credentials)
    if session.listener == "auth_http" then return check(session, credentials) end
    return moongate.accept { upstream = "127.0.0.1:%d" }
  end,
  route = function(session)
    if session.listener == "bare" or session.listener == "auth_http" then return end
    local to = { host = "127.0.0.1", port = ports[session.protocol], tls = "implicit" }
    for key, value in pairs(routes[session.user:gsub("^again_", "")]) do to[key] = value end
    return moongate.to(to)
  end,
  connect_failed = function(session, _, message)
    session:log("info", "failed: " .. message)
    if session.user:find "^again_" then return moongate.retry { upstream = "127.0.0.1:%d" } end
  end,
}]]):format(auth.url, servers.imap.port, servers.pop3.port, servers.smtp.port,
        ca.pin(leaves.strange), ca.pin(leaves.good), ca.pin(leaves.other), ca.pin(leaves.strange),
        fallback.port, fallback.port, up.port, fallback.port) }
  end)

  teardown(function()
    for _, server in pairs(servers or {}) do server:stop() end
    if fallback then fallback:stop() end
    if auth then auth:stop() end
    if gw then gw:stop() end
    for _, one in pairs { authority, stranger } do one:remove() end
  end)

  before_each(function()
    how = tls.server(leaves.good)
    fallback_how = how
  end)

  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
    fallback:clear()
  end)

  --- A client that has sent its login and has an answer.
  local function log_in(user, protocol)
    protocol = protocol or "imap"
    local c = client.connect(gw.ports[protocol])
    c:expect(GREETED[protocol])
    local plain = client.plain(user, "secret")
    if protocol == "imap" then
      c:send_line(("a LOGIN %s secret"):format(user)):expect_until "^a (%u+)"
    elseif protocol == "pop3" then
      c:send_line("AUTH PLAIN " .. plain):expect "^[-+]"
    else
      c:send_line "EHLO c":expect_until "^250 "
      c:send_line("AUTH PLAIN " .. plain):expect "^%d"
    end
    c:half_close()
    return gw:session_of(c)
  end

  local function works(user, protocol)
    assert.equal("client_closed", log_in(user, protocol)["end"])
    local peer = servers[protocol or "imap"]:peer(1)
    assert.equal("secret", peer.password)
    return peer
  end

  --- No byte of the login may have reached the upstream, and it is tried once.
  local function fails(reason, user, protocol)
    local session = log_in(user, protocol)
    assert.equal(reason, session["end"])
    local server = servers[protocol or "imap"]
    assert.equal(1, #server.peers)
    local heard = server:peer(1):all()
    for _, secret in ipairs { "secret", user, client.plain(user, "secret") } do
      assert.is_nil(heard:find(secret, 1, true), heard)
    end
    return session
  end

  for protocol in pairs(GREETED) do
    describe(protocol, function()
      it("logs in at a server that is who it should be", function()
        local peer = works("plain", protocol)
        assert.equal("TLSv1.3", peer:version())
      end)

      for _, case in ipairs {
        { "has expired", "expired", "expired" },
        { "is self-signed", "self_signed", "self.signed" },
        { "is of another authority", "strange", "issuer" },
        { "is for another name", "other", "127.0.0.1" },
        { "has no name", "nameless", "127.0.0.1" },
      } do
        it("sends nothing to a server whose certificate " .. case[1], function()
          how = tls.server(leaves[case[2]])
          local session = fails("upstream_untrusted", "plain", protocol)
          assert.matches(case[3], session.log)
        end)
      end
    end)
  end

  it("asks for the expected name, and takes that alone", function()
    assert.equal("mx.spec.test", works("named"):server_name())
    how = tls.server(leaves.wildcard)
    up:clear()
    works "named"
    up:clear()
    assert.matches("mx.other.test", fails("upstream_untrusted", "wrong_name").log)
  end)

  it("can't be told by a command of OpenSSL's to believe anybody", function()
    works "commanded"
    up:clear()
    how = tls.server(leaves.strange)
    fails("upstream_untrusted", "commanded")
  end)

  it("sends no address as a name", function() assert.is_nil(works("plain"):server_name()) end)

  it("is not tried again, nor elsewhere, with a server that can't be trusted", function()
    how = tls.server(leaves.expired)
    fails("upstream_untrusted", "fallback")
    up:clear()
    fails("upstream_untrusted", "again_plain")
    assert.equal(0, #fallback.peers)
  end)

  it("is tried elsewhere when it fails otherwise", function()
    how = tls.server(leaves.good, { max = "1.2" })
    assert.equal("upstream_tls", fails("upstream_tls", "strict")["end"])
    up:clear()
    assert.equal("client_closed", log_in("again_strict")["end"])
    assert.equal("secret", fallback:peer(1).password)
  end)

  -- Whoever can break a handshake would else get the password.
  for what, user in pairs { ["a retry"] = "again_strict", ["a fallback"] = "falls_back" } do
    it(what .. " that names a mere address is no way out of TLS", function()
      how, fallback_how = tls.server(leaves.good, { max = "1.2" }), nil
      log_in(user)
      assert.is_nil(fallback:peer(1):all():find("secret", 1, true))
      fallback_how = tls.server(leaves.other)
      fallback:clear()
      assert.equal("upstream_untrusted", log_in(user)["end"])
      assert.is_nil(fallback:peer(1):all():find("secret", 1, true))
    end)
  end

  it("speaks the version that its profile wants", function()
    assert.equal("TLSv1.2", works("old"):version())
    up:clear()
    assert.equal("TLSv1.3", works("strict"):version())
  end)

  it("believes anybody when told so", function()
    how = tls.server(leaves.self_signed)
    works "unverified"
  end)

  it("believes a pinned key, and no other", function()
    how = tls.server(leaves.strange)
    works "pinned"
    up:clear()
    works "pinned_twice"
    up:clear()
    how = tls.server(leaves.good)
    assert.matches("pin", fails("upstream_untrusted", "pinned").log)
    up:clear()
    works "pinned_and_verified"
    up:clear()
    how = tls.server(leaves.wildcard)
    fails("upstream_untrusted", "pinned_and_verified")
  end)

  it("heeds revocations", function()
    how = tls.server(leaves.revoked)
    assert.matches("revoked", fails("upstream_untrusted", "revoking").log)
    up:clear()
    how = tls.server(leaves.good)
    works "revoking"
  end)

  it("trusts a private authority only where it is named", function()
    fails("upstream_untrusted", "system")
  end)

  it("trusts the authorities in a folder, also those that come later", function()
    works "folder"
    up:clear()
    how = tls.server(leaves.strange)
    fails("upstream_untrusted", "folder")
    assert(os.rename(authority:join("second.pem", stranger.certificate), folder .. "/second.pem"))
    gw:expect_log "(listeners have new ones)"
    up:clear()
    works "folder"
  end)

  it("shows its certificate to a server that asks", function()
    how = tls.server(leaves.good, { ca = authority.certificate, demand = true })
    assert.equal("/CN=gateway", works("shows"):peer_subject())
  end)

  it("fails at a server that asks in vain, and says so", function()
    how = tls.server(leaves.good, { ca = authority.certificate, demand = true, max = "1.2" })
    fails("upstream_tls", "plain")
  end)

  it("resumes its sessions", function()
    assert.is_false(works("plain"):is_resumed())
    client.discard_all()
    local session = log_in "plain"
    assert.equal("client_closed", session["end"])
    assert.is_true(up:peer(2):is_resumed())
  end)

  it("does without where an upstream fails at its own sessions, as Dovecot with certificates does",
    function()
      how = tls.server(leaves.good, { ca = authority.certificate, demand = true })
      for _, version in ipairs { "shows", "shows_12" } do
        for _ = 1, 3 do
          up:clear()
          assert.equal("client_closed", log_in(version)["end"])
          local last = up:peer(#up.peers)
          assert.is_false(last:is_resumed())
          assert.equal("secret", last.password)
        end
        assert.equal(1, #up.peers) -- and is not offered any more
      end
    end)

  it("does without where an upstream leaves at the sight of its session", function()
    works "plain"
    local script = up.script
    up.script = function(peer)
      up.script = script
      peer:close()
    end
    assert.equal("client_closed", log_in("plain")["end"])
    assert.equal(3, #up.peers)
    assert.is_false(up:peer(3):is_resumed())
  end)

  it("verifies again what it resumes", function()
    works "plain"
    how = tls.server(leaves.expired)
    up:clear()
    fails("upstream_untrusted", "plain")
  end)

  it("fails when the profile is unknown", function()
    local session = log_in "nowhere"
    assert.equal("upstream_tls", session["end"])
    assert.matches("no such profile", session.log)
    assert.is_nil(up:peer(1):all():find("secret", 1, true))
  end)

  it("is that of the listener where a policy or an auth server names a mere address", function()
    for _, listener in ipairs { "bare", "auth_http" } do
      up:clear()
      local c = client.connect(gw.ports[listener])
      c:expect(GREETED.imap)
      c:send_line("a LOGIN ann secret"):expect_until "^a OK"
      c:half_close()
      assert.equal("client_closed", gw:session_of(c)["end"])
      assert.equal("TLSv1.3", up:peer(1):version())
      assert.equal("secret", up:peer(1).password)
    end
  end)
end)
