--- The hook `secured` is asked when a client has begun TLS with STARTTLS.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  connect = function(session)
    session.vars.before = session.tls == nil and "clear" or "secure"
  end,
  mechanisms = function(session) return session.tls and { "PLAIN", "LOGIN" } or { "LOGIN" } end,
  secured = function(session)
    local name = session.tls.sni
    session:log("info", ("secured: %s %s, was %s"):format(session.tls.version, tostring(name),
      session.vars.before))
    if name == "slow.test" then moongate.sleep(0.1) end
    if name == "nobody.test" then
      return moongate.reject { text = "No tenant of this name", log = "unknown tenant" }
    end
    if name == "later.test" then return moongate.tempfail { log = "no answer" } end
    if name == "broken.test" then error "oh" end
    if name == "truthy.test" then return true end
    if name == "accept.test" then return moongate.accept {} end
    if name == "gone.test" then moongate.sleep(60) end
  end,
  auth = function() return moongate.accept {} end,
}
]]

local WORDS = {
  imap = { greeting = "^%* OK", ask = "a STARTTLS", go = "^a OK", no = "^%* BYE ",
    login = "b LOGIN ann secret", yes = "^b OK" },
  pop3 = { greeting = "^%+OK", ask = "STLS", go = "^%+OK", no = "^%-ERR ",
    login = "AUTH PLAIN " .. client.plain("ann", "secret"), yes = "^%+OK" },
  smtp = { greeting = "^220 ", ask = "STARTTLS", go = "^220 ", no = "^554 5%.7%.1 ",
    later = "^421 ",
    login = "AUTH PLAIN " .. client.plain("ann", "secret"), yes = "^235 " },
}

describe("the hook secured", function()
  local authority, servers, gw

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf {}
    local section = ("tls = { mode = %%q, certificate = %q, key = %q }"):format(leaf.certificate,
      leaf.key)
    local listen = {}
    servers = {}
    for protocol in pairs(WORDS) do
      servers[protocol] = upstream.start { script = upstream[protocol]() }
      listen[protocol] = { protocol = protocol, more = ("upstream = %q, "):format(
        servers[protocol].address) .. section:format "required" }
    end
    listen.imaps = { protocol = "imap", more = section:format "implicit" }
    listen.hasty = { protocol = "imap", more = "limits = { hook_timeout = 0.2 }, "
      .. section:format "starttls" }
    gw = site.start { listen = listen, policy = POLICY }
  end)

  teardown(function()
    for _, server in pairs(servers or {}) do server:stop() end
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  after_each(client.discard_all)

  --- A client that has just begun TLS, asking for that name.
  local function upgraded(protocol, name, port)
    local words, c = WORDS[protocol], client.connect(port or gw.ports[protocol])
    c:expect(words.greeting)
    c:send_line(words.ask):expect(words.go)
    return tls.start(c, tls.client { name = name }):handshake()
  end

  for protocol, words in pairs(WORDS) do
    it("lets a client of " .. protocol .. " go on when it has no opinion", function()
      local c = upgraded(protocol, "fine.test")
      c:send_line(words.login):expect_until(words.yes)
      assert.truthy(gw:expect_log "(secured: TLSv1.3 fine.test, was clear)")
    end)

    it("may wait; what the client of " .. protocol .. " says meanwhile is heard then", function()
      upgraded(protocol, "slow.test"):send_line(words.login):expect_until(words.yes)
    end)

    it("ends a client of " .. protocol .. " that it refuses, inside TLS", function()
      local c = upgraded(protocol, "nobody.test")
      c:expect(words.no .. ".*No tenant of this name$")
      c:expect_end "eof"
      assert.is_true(c.notified)
      local session = gw:session_of(c)
      assert.equal("refused", session["end"])
      assert.equal("policy", session.policy)
      assert.equal("unknown tenant", session.log)
    end)

    it("that fails lets nobody of " .. protocol .. " go on", function()
      for _, name in ipairs { "later.test", "broken.test", "truthy.test", "accept.test" } do
        local c = upgraded(protocol, name):send_line(words.login)
        c:expect(words.later or words.no)
        c:expect_end()
        assert.equal("policy_failed", gw:session_of(c)["end"])
      end
    end)
  end

  it("decides before other mechanisms are offered", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    local before = c:send_line("a CAPABILITY"):expect "^%* CAPABILITY .*"
    assert.not_matches("AUTH=", before, 1, true)
    local after = upgraded("imap", "slow.test"):send_line("b CAPABILITY"):expect "^%* CAPABILITY .*"
    assert.matches("AUTH=PLAIN", after, 1, true)
  end)

  it("is not asked where TLS comes first: `connect` is", function()
    local c = tls.connect(gw.ports.imaps, { name = "nobody.test" })
    c:expect "^%* OK"
  end)

  it("has the chain's time", function()
    local c = upgraded("imap", "gone.test", gw.ports.hasty)
    c:expect "^%* BYE "
    c:expect_end()
    assert.equal("policy_failed", gw:session_of(c)["end"])
  end)

  it("is cancelled when its client goes", function()
    local c = upgraded("imap", "gone.test")
    gw:expect_log "(secured: TLSv1.3 gone.test)"
    c:reset()
    assert.equal("client_gone", gw:session_of(c)["end"])
  end)
end)
