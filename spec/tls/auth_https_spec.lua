--- Auth servers that are asked over https: they must prove who they are before they hear anything.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local shipped = require "spec.support.shipped"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local LOCAL = { "IP:127.0.0.1", "DNS:auth.spec.test" }

describe("auth_http with https", function()
  local authority, other, good, own, imap, auth, gw

  local function answer()
    return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
      ["Auth-Port"] = tostring(imap.port) } }
  end

  setup(function()
    authority, other = ca.new(), ca.new "Other CA"
    good = authority:leaf { names = LOCAL }
    own = authority:leaf { subject = "/CN=gateway" }
    imap = upstream.start { script = upstream.imap() }
  end)
  teardown(function()
    imap:stop()
    authority:remove()
    other:remove()
  end)
  after_each(function()
    client.discard_all()
    imap:clear()
    if gw then gw:stop() end
    if auth then auth:stop() end
    gw, auth = nil, nil
  end)

  --- A server that shows `leaf`, and a gateway that asks it; `settings` and `profile` are Lua text.
  local function start(leaf, settings, profile, demands)
    auth = http_server.start { answer = answer, tls = tls.server(leaf, demands) }
    gw = shipped.start {
      policy = { "auth_http" },
      settings = ("auth_http = { url = %q, timeout = 5, %s }"):format(auth.url, settings or ""),
      more = ("tls_profiles = { default = { ca = %q, %s } },"):format(authority.certificate,
        profile or ""),
      listen = { imap = "" },
    }
  end

  local function login()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line "a LOGIN ann secret"
  end

  local function expect_login()
    local c = login()
    c:expect_until "^a OK"
    c:discard()
  end

  --- The user is told to come back, the log knows why, and the server has heard nothing.
  local function expect_refusal(why)
    local c = login()
    c:expect("^a NO %[UNAVAILABLE%]", 10)
    gw:expect_log("(auth_http https://[^\n]*" .. why .. ")")
    assert.equal(0, #auth.requests)
    for _, peer in ipairs(auth.peers) do assert.equal("", peer:all()) end
    assert.equal(0, #imap.peers)
    c:discard()
  end

  it("asks a server that can prove its name, over connections that it keeps", function()
    start(good)
    for _ = 1, 3 do expect_login() end
    assert.equal(3, #auth.requests)
    assert.equal("secret", auth.requests[1].headers["auth-pass"])
    assert.equal(1, auth.shaken)
  end)

  it("resumes its sessions", function()
    start(good, "keepalive = 0")
    for _ = 1, 3 do expect_login() end
    assert.equal(3, auth.shaken)
    assert.equal(2, auth.resumed)
  end)

  it("resumes sessions of TLS 1.2", function()
    start(good, "keepalive = 0", 'max_version = "1.2"')
    for _ = 1, 3 do expect_login() end
    assert.equal(3, auth.shaken)
    assert.equal(2, auth.resumed)
  end)

  it("asks once more when a kept connection was closed meanwhile", function()
    start(good)
    expect_login()
    auth:peer(1):close()
    expect_login()
    assert.equal(2, #auth.requests)
    assert.not_matches("auth_http https", gw:log())
  end)

  it("drinks a long body that came in the same record", function()
    start(good)
    auth.answer = function()
      local reply = answer()
      reply.body = ("x"):rep(30000)
      return reply
    end
    for _ = 1, 3 do expect_login() end
    assert.equal(1, auth.shaken)
  end)

  for name, case in pairs {
    ["with another name"] = { { names = { "DNS:else.spec.test" } }, "name mismatch" },
    ["that has expired"] = { { names = LOCAL, expired = true }, "expired" },
    ["that it signed itself"] = { { names = LOCAL, self_signed = true }, "self%-signed" },
  } do
    it("says nothing to a server with a certificate " .. name, function()
      start(authority:leaf(case[1]))
      expect_refusal(case[2])
    end)
  end

  it("says nothing to a server of another authority", function()
    start(other:leaf { names = LOCAL })
    expect_refusal "unable to get local issuer certificate"
  end)

  it("says nothing to a server that speaks no TLS", function()
    start(good)
    auth.tls = nil
    auth.script = function(peer) peer:send "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n\r\n" end
    local c = login()
    c:expect("^a NO %[UNAVAILABLE%]", 10)
    gw:expect_log "(auth_http https://[^\n]*wrong version number)"
    assert.not_matches("secret", auth.peers[1]:all())
  end)

  it("goes on to the next server", function()
    local second = http_server.start { answer = answer, tls = tls.server(good) }
    finally(function() second:stop() end)
    start(authority:leaf { names = LOCAL, expired = true }, ("urls = { %q }"):format(second.url))
    expect_login()
    assert.equal(0, #auth.requests)
    assert.equal(1, #second.requests)
  end)

  it("takes the name that it was told", function()
    local leaf = authority:leaf { names = { "DNS:else.spec.test" } }
    start(leaf, 'server_name = "else.spec.test"')
    expect_login()
    assert.equal("else.spec.test", auth:peer(1):server_name())
  end)

  it("takes any server with the key that is pinned, if it needn't be verified", function()
    local leaf = other:leaf { names = { "DNS:else.spec.test" } }
    start(leaf, ("verify = false, pin = %q"):format(ca.pin(leaf)))
    expect_login()
  end)

  it("wants the key that is pinned", function()
    start(good, ("pin = { %q }"):format(ca.pin(own)))
    expect_refusal "pin"
  end)

  it("shows its certificate to a server that wants one", function()
    start(good, "", ("certificate = %q, key = %q"):format(own.certificate, own.key),
      { ca = authority.certificate, demand = true })
    expect_login()
    assert.equal("/CN=gateway", auth:peer(1):peer_subject())
  end)

  it("fails where a certificate is wanted and there is none", function()
    start(good, "", "", { ca = authority.certificate, demand = true })
    local c = login()
    c:expect("^a NO %[UNAVAILABLE%]", 10)
    gw:expect_log "(auth_http https://[^\n]*certificate required)"
    assert.equal(0, #auth.requests)
  end)

  it("gives up a server that does not shake hands", function()
    start(good, "timeout = 0.3")
    auth.script = function(peer) peer:read(1e6, false) end
    local c = login()
    c:expect("^a NO %[UNAVAILABLE%]", 10)
    gw:expect_log "(auth_http https://[^\n]*timed out)"
  end)
end)
