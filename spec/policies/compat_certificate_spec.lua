--- Certificates that OpenResty's drivers show to servers: ngx.ssl and `setclientcert`, against a
-- Redis that demands one and a server that tells whom it sees.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local redis = require "spec.support.redis"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local TOP = [[
local ngx = require "moongate.compat.ngx"
local ssl, secret = require "ngx.ssl", require "moongate.secret"
local REDIS, WHO = %d, %d
local PEM = { ann = %q, bob = %q, stranger = %q, weak = %q }
local KEY = { ann = %q, bob = %q, stranger = %q, weak = %q, sealed = %q }

local function shown(name)
  return assert(ssl.parse_pem_cert(PEM[name])), assert(ssl.parse_pem_priv_key(KEY[name]))
end

--- Connected; with a certificate that is set before.
local function open(name, port, options)
  local sock = ngx.socket.tcp()
  sock:settimeouts(5000, 5000, 5000)
  if name then assert(sock:setclientcert(shown(name)) == true) end
  assert(sock:connect("127.0.0.1", port or REDIS, options))
  return sock
end

local function secure(name, port, options)
  local sock = open(name, port, options)
  local ok, err = sock:sslhandshake(nil, "host.test", true)
  return ok and sock, err
end

local function ask(sock, line)
  local sent, err = sock:send(line .. "\r\n")
  if not sent then return err end
  local answer, why = sock:receive()
  return answer or "failed: " .. why
end

--- What Redis says to a PING, however far it goes.
local function ping(name)
  local sock, err = secure(name)
  return sock and ask(sock, "PING") or err
end
]]

local BODIES = {
  shows = [[return ping "ann", ping "bob"]],
  shows_nothing = [[assert(ping "ann" == "+PONG") return ping()]],
  shows_a_stranger = [[return ping "stranger"]],
  who = [[return ask(secure("ann", WHO), "who"), ask(secure("bob", WHO), "who")]],
  nobody = [[return ask(secure(nil, WHO), "who")]],
  set_later = [[
    local sock = open(nil, WHO)
    assert(sock:setclientcert(shown "bob"))
    assert(sock:sslhandshake(nil, "host.test", true))
    return ask(sock, "who")]],
  taken_back = [[
    local sock = open("ann", WHO)
    assert(sock:setclientcert(nil, nil) == true)
    assert(sock:sslhandshake(nil, "host.test", true))
    return ask(sock, "who")]],
  replaced = [[
    local sock = open("ann", WHO)
    sock:setclientcert(shown "bob")
    assert(sock:sslhandshake(nil, "host.test", true))
    return ask(sock, "who")]],
  collected = [[
    local sock = open("ann", WHO)
    local text
    for i = 1, 50 do -- which has it all collected
      text = ("x"):rep(500000) .. i
      ngx.sleep(0.001)
    end
    assert(#text > 500000)
    assert(sock:sslhandshake(nil, "host.test", true))
    return ask(sock, "who")]],

  kept = [[
    local sock = secure "ann"
    local id = ask(sock, "CLIENT ID")
    assert(sock:setkeepalive(60000))
    sock = open "ann"
    local times = sock:getreusedtimes()
    assert(sock:sslhandshake(nil, "host.test", true))
    return times, ask(sock, "CLIENT ID") == id]],
  kept_from_others = [[
    for _, options in ipairs { {}, { pool = "a pool" } } do
      assert(secure("ann", WHO, options):setkeepalive(60000))
      for _, name in ipairs { "", "bob" } do
        local sock = open(name ~= "" and name or nil, WHO, options)
        assert(sock:getreusedtimes() == 0, name)
        assert(sock:sslhandshake(nil, "host.test", true))
        assert(ask(sock, "who") == (name == "" and "nobody" or "/CN=bob"))
      end
    end
    return "none was given"]],
  kept_after_set_later = [[
    local sock = open(nil, WHO, { pool = "later" })
    assert(sock:setclientcert(shown "ann"))
    assert(sock:sslhandshake(nil, "host.test", true))
    assert(sock:setkeepalive(60000))
    local other = open(nil, WHO, { pool = "later" })
    local times = other:getreusedtimes()
    return times, open("ann", WHO, { pool = "later" }):getreusedtimes()]],
  reused_and_changed = [[
    assert(secure("ann", WHO, { pool = "changed" }):setkeepalive(60000))
    local sock = open("ann", WHO, { pool = "changed" })
    sock:setclientcert(shown "bob")
    return select(2, sock:sslhandshake(nil, "host.test", true))]],

  weak = [[return select(2, secure "weak")]],
  mismatch = [[
    local sock = ngx.socket.tcp()
    local ok, err = sock:setclientcert(shown "ann", (ssl.parse_pem_priv_key(KEY.bob)))
    return tostring(ok), err]],
  alone = [[
    local sock, certificate, key = ngx.socket.tcp(), shown "ann"
    local _, first = sock:setclientcert(certificate)
    local ok, second = sock:setclientcert(nil, key)
    return tostring(ok) .. tostring(first == second), second]],
  no_certificate = [[
    local sock, certificate, key = ngx.socket.tcp(), shown "ann"
    return sock:setclientcert(PEM.ann, key)]],
  no_key = [[
    local sock, certificate, key = ngx.socket.tcp(), shown "ann"
    return sock:setclientcert(certificate, certificate)]],
  opaque = [[
    local certificate, key = shown "ann"
    return type(certificate) .. type(key) .. tostring(getmetatable(key)),
      tostring((pcall(function() return key.key end)))]],
  bad_pem = [[
    local certificate, first = ssl.parse_pem_cert "no PEM"
    local key, second = ssl.parse_pem_priv_key(PEM.ann)
    assert(certificate == nil and key == nil)
    return first, second]],
  long_pem = [[return select(2, ssl.parse_pem_cert(("x"):rep(70000)))]],
  sealed = [[return select(2, ssl.parse_pem_priv_key(KEY.sealed))]],
  secret_key = [[
    local certificate = ssl.parse_pem_cert(PEM.ann)
    local _, err = ssl.parse_pem_priv_key(credentials.password)
    return ngx.socket.tcp():setclientcert(certificate, (ssl.parse_pem_priv_key(
      secret.of(KEY.ann)))), err]],
  no_text = [[return ssl.parse_pem_priv_key { "key" }]],
}

describe("certificates that drivers show", function()
  local run, server, who, authority, strangers

  setup(function()
    authority, strangers = ca.new(), ca.new "Strangers"
    local host = authority:leaf { names = { "DNS:host.test" } }
    local ann = authority:leaf { subject = "/CN=ann" }
    local bob = authority:leaf { subject = "/CN=bob", kind = "rsa" }
    local stranger = strangers:leaf { subject = "/CN=ann" }
    local sealed = authority:leaf { passphrase = "moon" }
    local weak = { certificate = authority.folder .. "/weak.pem",
      key = authority.folder .. "/weak.key" }
    assert.equal(0, (child.run { "openssl", "req", "-x509", "-noenc", "-newkey", "rsa:1024",
      "-subj", "/CN=weak", "-out", weak.certificate, "-keyout", weak.key }))
    server = redis.start { tls = host,
      more = "tls-auth-clients yes\ntls-ca-cert-file " .. authority.certificate }
    who = upstream.start { name = "who", script = function(peer)
      pcall(function() -- until the gateway leaves
        tls.start(peer, tls.server(host, { ca = authority.certificate })):handshake()
        while peer:expect "^(.*)$" do peer:send_line(peer:peer_subject() or "nobody") end
      end)
    end }
    run = modules.start {
      top = TOP:format(server.port, who.port, ca.read(ann.certificate), ca.read(bob.certificate),
        ca.read(stranger.certificate), ca.read(weak.certificate), ca.read(ann.key),
        ca.read(bob.key), ca.read(stranger.key), ca.read(weak.key), ca.read(sealed.key)),
      bodies = BODIES,
      configuration = ("tls_profiles = { default = { ca = %q } },"):format(authority.certificate),
    }
  end)
  after_each(function() client.discard_all() end)
  teardown(function()
    run.stop()
    who:stop()
    server:stop()
    authority:remove()
    strangers:remove()
  end)

  it("let them in where one is demanded, and nothing else does", function()
    assert.equal("+PONG | +PONG", run "shows")
    -- Whether Redis' alert or its reset comes first, is not told.
    assert.matches("TLS", run "shows_nothing")
    assert.matches("TLS", run "shows_a_stranger")
  end)

  it("are those of the socket, as it was when the handshake began", function()
    assert.equal("/CN=ann | /CN=bob", run "who")
    assert.equal("nobody", run "nobody")
    assert.equal("/CN=bob", run "set_later")
    assert.equal("nobody", run "taken_back")
    assert.equal("/CN=bob", run "replaced")
    assert.equal("/CN=ann", run "collected")
  end)

  it("decide whose connection is found in a pool", function()
    assert.equal("1 | true", run "kept")
    assert.equal("none was given", run "kept_from_others")
    assert.equal("0 | 1", run "kept_after_set_later")
    assert.matches("other settings", run "reused_and_changed")
  end)

  it("come with their own key, or are refused", function()
    assert.equal('nil | certificate "CN=ann": the key belongs to another certificate',
      run "mismatch")
    assert.equal("socket: TLS: our certificate can't be used: ee key too small", run "weak")
    assert.equal("niltrue | client certificate must be supplied with corresponding private key",
      run "alone")
    assert.matches("^ERROR: .*/policy%.lua:%d+: setclientcert: bad cert arg: .* got string$",
      run "no_certificate")
    assert.matches("^ERROR: .*/policy%.lua:%d+: setclientcert: bad pkey arg: .* got certificate$",
      run "no_key")
  end)

  it("are read from PEM, and can't be read again", function()
    assert.equal("userdatauserdatafalse | false", run "opaque")
    assert.equal("there is no PEM certificate in it | no usable PEM private key in it: "
      .. "no start line", (run "bad_pem":gsub("unsupported", "no start line")))
    assert.equal("more than 65536 bytes of PEM", run "long_pem")
    assert.equal("it is encrypted and there is no passphrase", run "sealed")
    assert.matches("^true | no usable PEM", run "secret_key")
    assert.matches("^ERROR: .*/policy%.lua:%d+: parse_pem_priv_key: PEM expected.*, got table$",
      run "no_text")
  end)
end)
