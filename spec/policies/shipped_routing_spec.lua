--- The shipped policies canary, tenants and recipients, and the examples that have them.
local hash = require "moongate.hash"
local spec = require "moongate.spec"

before_each(function() spec.logged() end)

describe("canary", function()
  local function gateway(more)
    local settings = { current = "10.0.0.1:143", next = "10.0.0.2:143" }
    for k, v in pairs(more or {}) do settings[k] = v end
    return spec.policy { "canary", settings = { canary = settings } }
  end

  it("sends a stable share to the next version, with a way back", function()
    local gw, count = gateway { percent = 20 }, 0
    for i = 1, 200 do
      local user = "user" .. i .. "@example.org"
      local decision = gw:session { user = user }:route()
      if hash.percent(user, "canary") < 20 then
        assert.decision(decision).is_to { address = "10.0.0.2:143", fallback = "10.0.0.1:143" }
        count = count + 1
      else
        assert.decision(decision).is_to { address = "10.0.0.1:143" }
        assert.is_nil(decision.fallback)
      end
    end
    assert.is_true(count > 20 and count < 60)
    assert.equal(count, gw:counter "canary_sessions_total")
  end)

  it("sends all or nobody, whatever the case of the name", function()
    for percent, address in pairs { [0] = "10.0.0.1:143", [100] = "10.0.0.2:143" } do
      assert.decision(gateway { percent = percent }:session { user = "ann" }:route())
        .is_to { address = address }
    end
    local gw = gateway { percent = 50 }
    for i = 1, 20 do
      assert.equal(gw:session { user = "user" .. i }:route().address,
        gw:session { user = "USER" .. i }:route().address)
    end
  end)

  it("wants settings that make sense", function()
    assert.has_error(function() gateway { percent = 101 } end)
    assert.has_error(function() spec.policy { "canary" } end)
  end)
end)

describe("tenants", function()
  local SETTINGS = {
    domains = { ["mail.acme.example"] = "acme.example",
      ["mail.globex.example"] = "globex.example" },
    upstreams = { ["acme.example"] = "10.0.0.1:143" },
  }

  local function gateway() return spec.policy { "tenants", settings = { tenants = SETTINGS } } end

  --- A chain whose second policy lets everybody in.
  local function chain()
    return spec.policy { "tenants", "all", settings = { tenants = SETTINGS },
      files = { ["scripts/all.lua"] = [[
        local moongate = require "moongate"
        return { auth = function() return moongate.accept { upstream = "10.0.0.9:143" } end }]] } }
  end

  local function session(gw, sni) return gw:session { tls = { sni = sni } } end

  it("refuses connections to other names", function()
    for _, name in ipairs { "mail.other.example", "acme.example", "" } do
      assert.decision(session(gateway(), name ~= "" and name or nil):connect())
        .is_reject { reason = "unknown-tenant" }
    end
    assert.decision(session(gateway(), "MAIL.acme.example"):connect()).is_none()
    assert.decision(gateway():session { tls = { sni = "x", starttls = true } }:secured())
      .is_reject { reason = "unknown-tenant" }
  end)

  it("lets nobody in without TLS", function()
    local s = gateway():session {}
    assert.decision(s:connect()).is_none()
    assert.decision(s:login("ann@acme.example", "x")).is_reject { reason = "tls-required" }
  end)

  it("knows a user only at their tenant, and completes their name", function()
    local s = session(chain(), "mail.acme.example")
    assert.decision(s:login("ann@acme.example", "x")).is_accept { address = "10.0.0.1:143" }
    s = session(chain(), "mail.acme.example")
    assert.decision(s:login("ann", "x")).is_accept { address = "10.0.0.1:143" }
    assert.equal("ann@acme.example", s:user())
    for _, user in ipairs { "ann@globex.example", "ann@acme.example@globex.example", "ann@" } do
      assert.decision(session(chain(), "mail.acme.example"):login(user, "x"))
        .is_reject { reason = "wrong-tenant" }
    end
  end)

  it("leaves the way to others where it has none", function()
    assert.decision(session(chain(), "mail.globex.example"):login("bob", "x"))
      .is_accept { address = "10.0.0.9:143" }
  end)
end)

describe("conf/examples/mx.lua", function()
  local gw
  before_each(function()
    gw = spec.policy { config = "conf/examples/mx.lua" }
    gw.dns:reply("7.113.0.203.zen.dnsbl.example", {})
  end)

  local function session(rcpt)
    return gw:session { protocol = "smtp", client = "203.0.113.7:1000",
      mail = "MAIL FROM:<a@example.com>", rcpt = "RCPT TO:<" .. rcpt .. ">" }
  end

  it("takes mail for recipients that exist, and asks once about each", function()
    gw.http:reply("http://127.0.0.1:9100/rcpt/ann%40example.org", { status = 200 })
    for _ = 1, 3 do
      assert.decision(session "Ann@Example.org":rcpt()).is_accept()
    end
    local asked = 0
    for _, call in ipairs(gw:calls()) do
      if call.kind == "http" then asked = asked + 1 end
    end
    assert.equal(1, asked)
    assert.decision(session "ann@example.org":route()).is_to { pool = "mx" }
  end)

  it("refuses others in their own words", function()
    gw.http:reply("http://127.0.0.1:9100/rcpt/bob%40example.org", { status = 404 })
    assert.equal("550 5.1.1 No such user here", session "bob@example.org":rcpt():wire())
    assert.equal("550 5.7.1 Relaying denied", session "ann@example.com":rcpt():wire())
  end)

  it("does not take an outage for an answer", function()
    gw.http:fail("http://127.0.0.1:9100/rcpt/ann%40example.org", "connect")
    assert.matches("^451 4.3.0", session "ann@example.org":rcpt():wire())
    gw.http:reply("http://127.0.0.1:9100/rcpt/ann%40example.org", { status = 500 })
    assert.matches("^451 4.3.0", session "ann@example.org":rcpt():wire())
    gw.http:reply("http://127.0.0.1:9100/rcpt/ann%40example.org", { status = 200 })
    assert.decision(session "ann@example.org":rcpt()).is_accept()
  end)

  it("sends clients on the block list elsewhere", function()
    gw.dns:reply("7.113.0.203.zen.dnsbl.example", { "127.0.0.2" })
    local s = session "ann@example.org"
    assert.decision(s:connect()).is_none()
    assert.decision(s:route()).is_to { pool = "quarantine" }
  end)

  it("blocks nobody while the block list is down", function()
    gw.dns:fail("7.113.0.203.zen.dnsbl.example", "timeout")
    local s = session "ann@example.org"
    assert.decision(s:connect()).is_none()
    assert.decision(s:route()).is_to { pool = "mx" }
    assert.matches("block list does not answer", spec.logged())
  end)

  it("refuses them where there is no quarantine, and takes all without a url", function()
    gw = spec.policy { "recipients", listen = { protocol = "smtp" }, listener = 'auth = "none"',
      settings = { recipients = { domains = { "example.org" }, blocklist = "bl.example" } } }
    gw.dns:reply("7.113.0.203.bl.example", { "127.0.0.2" })
    assert.decision(session "ann@example.org":connect()).is_reject { reason = "block-list" }
    assert.decision(session "ann@example.org":rcpt()).is_accept()
    assert.decision(session "ann@example.org":route()).is_none()
  end)
end)

describe("conf/examples/nginx.lua", function()
  it("asks the auth server for all three protocols", function()
    local gw = spec.policy { config = "conf/examples/nginx.lua" }
    for listener, port in pairs { imap = 143, pop3 = 110, submission = 587 } do
      gw.auth_http:reply("http://127.0.0.1:9000/auth", { headers = {
        ["Auth-Status"] = "OK", ["Auth-Server"] = "10.0.0.5", ["Auth-Port"] = port } })
      assert.decision(gw:session { listener = listener }:login("ann", "secret"))
        .is_accept { address = "10.0.0.5:" .. port }
      gw.auth_http:reply("http://127.0.0.1:9000/auth", { headers = {
        ["Auth-Status"] = "Invalid login or password" } })
      assert.decision(gw:session { listener = listener }:login("ann", "wrong")).is_reject()
      gw.auth_http:fail("http://127.0.0.1:9000/auth", "connect")
      assert.decision(gw:session { listener = listener }:login("ann", "secret")).is_tempfail()
    end
  end)
end)
