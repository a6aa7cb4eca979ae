--- The hook `certificate` says what a client is shown.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local child = require "spec.support.child"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  certificate = function(session)
    local name = session.tls.sni
    if not name then return nil end
    if name == "slow.test" then
      moongate.sleep(0.2)
      return moongate.certificate "first"
    end
    if name == "second.test" then
      session.vars.shown = "second"
      return moongate.certificate "second"
    end
    if name == "nobody.test" then return moongate.reject { log = "unknown tenant" } end
    if name == "later.test" then return moongate.tempfail { log = "no answer" } end
    if name == "wrong.test" then return moongate.certificate "none of these" end
    if name == "accept.test" then return moongate.accept {} end
    if name == "broken.test" then error "oh" end
    if name == "gone.test" then session:log("info", "the client is still there") end
    if name == "endless.test" or name == "gone.test" then moongate.sleep(60) end
  end,
  auth = function(session)
    session:log("info", "shown: " .. tostring(session.vars.shown))
    return moongate.accept {}
  end,
}
]]

describe("the hook certificate", function()
  local authority, own, first, second, gw, up

  setup(function()
    authority = ca.new()
    own = authority:leaf { subject = "/CN=own" }
    first = authority:leaf { subject = "/CN=first" }
    second = authority:leaf { subject = "/CN=second", kind = "rsa", passphrase = "open" }
    up = upstream.start { script = upstream.imap() }
    local section = ("tls = { mode = %%q, certificate = %q, key = %q }"):format(own.certificate,
      own.key)
    gw = site.start {
      more = ([[certificates = {
        first = { certificate = %q, key = %q },
        second = { certificate = %q, key = %q, passphrases = "open" },
      },]]):format(first.certificate, first.key, second.certificate, second.key),
      listen = {
        imaps = { protocol = "imap", more = ("upstream = %q, "):format(up.address)
          .. section:format "implicit" },
        imap = { protocol = "imap", more = section:format "starttls" },
        hasty = { protocol = "imap", more = "limits = { login_timeout = 0.3 }, "
          .. section:format "implicit" },
        impatient = { protocol = "imap", more = "limits = { hook_timeout = 0.2 }, "
          .. section:format "implicit" },
      },
      policy = POLICY,
    }
  end)

  teardown(function()
    if up then up:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  after_each(client.discard_all)

  local function shown(name, version)
    local c = tls.connect(gw.ports.imaps, { ca = authority.certificate, name = name,
      max = version })
    return c:peer_subject()
  end

  --- How the handshake of a client that asks for the name fails.
  local function failure(name, port)
    local c = client.connect(port or gw.ports.imaps)
    tls.start(c, tls.client { name = name })
    assert.is_nil(c:attempt())
    return gw:session_of(c), c
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("chooses one of `certificates`, or leaves it to the listener, in TLS " .. version, function()
      assert.equal("/CN=second", shown("second.test", version))
      assert.equal("/CN=own", shown(nil, version))
      assert.equal("/CN=own", shown("other.test", version))
    end)
  end

  it("may wait", function() assert.equal("/CN=first", shown "slow.test") end)

  it("is asked behind STARTTLS, too", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a STARTTLS"):expect "^a OK"
    tls.start(c, tls.client { ca = authority.certificate, name = "second.test" }):handshake()
    assert.equal("/CN=second", c:peer_subject())
    c:send_line("b NOOP"):expect "^b OK"
  end)

  it("leaves its vars to the next hooks", function()
    local c = tls.connect(gw.ports.imaps, { name = "second.test" })
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
    assert.truthy(gw:expect_log "shown: (second)")
  end)

  it("does not disturb others while it waits", function()
    local slow = client.connect(gw.ports.imaps)
    tls.start(slow, tls.client { name = "slow.test" })
    assert.equal("/CN=own", shown(nil))
    assert.is_nil(slow.is_secure)
    slow:handshake()
  end)

  it("refuses by failing the handshake, and says why in the log", function()
    local session, c = failure "nobody.test"
    assert.equal("tls_failed", session["end"])
    assert.equal("no certificate for this client: unknown tenant", session.log)
    assert.equal("policy", session.policy)
    assert.is_nil(c.is_secure)
    assert.equal("no certificate for this client: no answer", failure("later.test").log)
  end)

  it("fails the handshake when it is mistaken", function()
    assert.equal("tls_failed", failure("wrong.test")["end"])
    assert.truthy(gw:expect_log '(hook "certificate": `certificates` has no "none of these")')
    assert.equal("tls_failed", failure("accept.test")["end"])
    assert.truthy(gw:expect_log "(accept is no answer of this hook)")
    assert.equal("tls_failed", failure("broken.test")["end"])
  end)

  it("has the chain's time, within the login's", function()
    assert.equal("tls_failed", failure("endless.test", gw.ports.impatient)["end"])
    assert.equal("timeout", failure("endless.test", gw.ports.hasty)["end"])
  end)

  it("is cancelled with the session", function()
    local c = client.connect(gw.ports.hasty)
    tls.start(c, tls.client { name = "gone.test" })
    gw:expect_log "(the client is still there)"
    c:reset()
    local why = gw:session_of(c)["end"] -- whichever is noticed first
    assert.is_true(why == "timeout" or why == "client_gone", why)
  end)

  it("is not asked of a client that resumes", function()
    local c = tls.connect(gw.ports.imaps, { name = "second.test" })
    c:expect "^%* OK"
    local again = tls.connect(gw.ports.imaps, { name = "second.test", session = c:session() })
    assert.is_true(again:is_resumed())
    again:expect "^%* OK"
  end)

  it("only knows certificates that can be read", function()
    local broken = site.configuration { listen = { imap = { protocol = "imap" } },
      more = ("certificates = { a = { certificate = %q, key = %q } },"):format(first.certificate,
        own.key) }
    local path = authority:write("moongate.lua", broken)
    os.execute(("mkdir -p '%s/scripts' && echo 'return {}' >'%s/scripts/policy.lua'"):format(
      authority.folder, authority.folder))
    local code, output = child.run { gateway.binary(), "check", "-c", path }
    assert.equal(1, code)
    assert.matches("certificates: a: ", output, 1, true)
    assert.matches(first.certificate, output, 1, true)
  end)
end)
