--- `moongate.dovecot`: what the fields of Dovecot's passdbs lead to.
local spec = require "moongate.spec"

local POLICY = [[
local dovecot = require "moongate.dovecot"
local fields = FIELDS
return { auth = function(session) return dovecot.decision(fields, session) end }
]]

local function decide(fields, protocol)
  local text = {}
  for name, value in pairs(fields) do
    table.insert(text, ("[%q] = %s"):format(name,
      type(value) == "string" and ("%q"):format(value) or tostring(value)))
  end
  local policy = POLICY:gsub("FIELDS", function() return "{" .. table.concat(text, ",") .. "}" end)
  local gw = spec.policy { "p", files = { ["scripts/p.lua"] = policy },
    listen = { protocol = protocol }, listener = 'upstream = "10.0.0.9",' }
  local session = gw:session { server = "192.0.2.1:143" }
  return session:login("ann", "secret"), gw
end

describe("the fields of a passdb", function()
  it("let in without a proxy, under the name that they give", function()
    assert.decision(decide { user = "ann@x.test", original_user = "ann", event_a = "b",
      user_alias = "c", nodelay = true }).is_accept { user = "ann@x.test" }
  end)

  for name, case in pairs {
    ["plainly"] = { { proxy = true, host = "10.0.0.5" }, address = "10.0.0.5:143", tls = "off" },
    ["in Dovecot's spellings"] = { { proxy = "y", host = "10.0.0.5", port = "1143", ssl = "yes" },
      address = "10.0.0.5:1143", tls = "implicit" },
    ["to the port of TLS"] = { { proxy = "", host = "10.0.0.5", ssl = "any-cert" },
      address = "10.0.0.5:993", tls = "implicit" },
    ["by StartTLS"] = { { proxy = true, host = "imap.test", hostip = "10.0.0.6",
      starttls = "yes" }, address = "10.0.0.6:143", tls = "starttls" },
    ["elsewhere"] = { { proxy_maybe = true, host = "192.0.2.2" }, address = "192.0.2.2:143" },
    ["to another port"] = { { proxy_maybe = true, host = "192.0.2.1", port = 144 },
      address = "192.0.2.1:144" },
    ["with what changes nothing here"] = { { proxy = true, host = "10.0.0.5",
      proxy_nopipelining = true, proxy_refresh = "10", proxy_timeout = "30 secs",
      source_ip = "10.0.0.1", proxy_not_trusted = true, nologin = true },
      address = "10.0.0.5:143" },
  } do
    it("send to an upstream " .. name, function()
      local decision = decide(case[1])
      assert.decision(decision).is_accept { address = case.address }
      if case.tls then assert.equal(case.tls, decision.tls) end
    end)
  end

  it("lead nowhere else when proxy_maybe is the gateway itself", function()
    local decision = decide { proxy_maybe = true, host = "192.0.2.1", port = 143, user = "ann" }
    assert.decision(decision).is_not_to()
    assert.not_equal("192.0.2.1:143", decision.address)
  end)

  it("refuse, in the words of the reason", function()
    local decision = decide { nologin = true, reason = "Moved to another house" }
    assert.decision(decision).is_reject { reason = "not-allowed" }
    assert.equal("NO [AUTHORIZATIONFAILED] Moved to another house", decision:wire "imap")
    assert.decision(decide { nologin = true, code = "pass_expired" }).is_reject {
      reason = "expired" }
    assert.decision(decide { nologin = true, code = "user_disabled" }).is_reject {
      reason = "not-allowed" }
    assert.decision(decide { nologin = true, code = "temp_fail" }).is_tempfail()
    assert.decision(decide { nologin = true, code = "unheard_of" }).is_tempfail()
  end)

  it("wait until a time", function()
    local before = os.time()
    local decision, gw = decide { user = "ann", delay_until = tostring(before + 5) }
    assert.decision(decision).is_accept()
    assert.truthy(gw.clock.now > 2 and gw.clock.now <= 5)
    assert.decision(decide { user = "ann", delay_until = "1+0" }).is_accept()
    assert.decision(decide { user = "ann", delay_until = tostring(before + 5000) }).is_tempfail()
  end)

  for name, case in pairs {
    ["unknown field \"quota\""] = { quota = "1" },
    ["unknown field \"allow_nets\""] = { allow_nets = "10.0.0.0/8" },
    ["proxy: host is missing"] = { proxy = true },
    ["host: without proxy"] = { host = "10.0.0.5" },
    ["proxy: yes, or nothing expected"] = { proxy = "no", host = "10.0.0.5" },
    ["port: a port expected"] = { proxy = true, host = "10.0.0.5", port = "70000" },
    ["proxy_timeout: a time"] = { proxy = true, host = "10.0.0.5", proxy_timeout = "soon" },
    ["master: pass is missing"] = { proxy = true, host = "10.0.0.5", master = "m" },
    ["mechanism"] = { proxy = true, host = "10.0.0.5", proxy_mech = "gssapi" },
    ["delay_until: "] = { delay_until = "tomorrow" },
    ["user: a text expected"] = { user = true },
  } do
    it("are refused, and named: " .. name, function()
      spec.logged()
      assert.decision(decide(case)).is_tempfail()
      local log = spec.logged()
      assert.truthy(log:find(name, 1, true), log)
    end)
  end
end)
