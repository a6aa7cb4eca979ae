--- Whole logins under `moongate.spec`: every hook in its place, as the session asks it.
local spec = require "moongate.spec"

--- A policy that notes in the log which hooks it was asked; `hooks` are their bodies.
local function gateway(hooks, more)
  local words = {}
  for hook, body in pairs(hooks) do
    words[#words + 1] = ("%s = function(session, a) %s end,"):format(hook, body)
  end
  local options = { "p", files = { ["scripts/p.lua"] =
    "local moongate = require \"moongate\"\nreturn {" .. table.concat(words, "\n") .. "}" } }
  for k, v in pairs(more or {}) do options[k] = v end
  return spec.policy(options)
end

local function hooks_of(gw)
  local words = {}
  for _, call in ipairs(gw:calls()) do words[#words + 1] = tostring(call) end
  return table.concat(words, "; ")
end

local ACCEPT = "return moongate.accept { upstream = \"10.0.0.5:143\" }"

describe("a login", function()
  it("asks connect, auth and route", function()
    local gw = gateway { connect = "", auth = ACCEPT, route = "" }
    local d = gw:session():login("alice", "secret")
    assert.decision(d).is_accept { address = "10.0.0.5:143", policy = "p" }
    assert.equal("0.000 hook connect; 0.000 hook auth -> accept; 0.000 hook route", hooks_of(gw))
  end)

  it("goes where route says", function()
    local gw = gateway { auth = ACCEPT, route = [[return moongate.to {
      address = "10.0.0.6:993", tls = "implicit", fallback = "10.0.0.7" }]] }
    assert.decision(gw:session():login("alice", "secret")).is_accept {
      address = "10.0.0.6:993", tls = "implicit", fallback = "10.0.0.7:993" }
  end)

  it("goes to the listener's upstream when no policy says where", function()
    local gw = gateway({ auth = "return moongate.accept()" },
      { listener = "upstream = \"10.0.0.8\"" })
    assert.decision(gw:session():login("a", "b")).is_accept { address = "10.0.0.8:143" }
  end)

  it("ends with the first refusal", function()
    local gw = gateway { connect = "return moongate.reject { reason = \"limit\" }", auth = ACCEPT }
    local session = gw:session()
    assert.decision(session:login("a", "b")).is_reject { reason = "limit" }
    assert.equal("0.000 hook connect -> reject", hooks_of(gw))
    assert.equal("refused", session:ended())
    assert.error_matches(function() session:login("a", "b") end, "the session has ended: refused")
  end)

  it("may be tried again, as often as the listener allows", function()
    local gw = gateway { connect = "", auth = [[
      if session.attempt == 2 then return moongate.tempfail { log = a.user } end
      return moongate.reject()]] }
    local session = gw:session()
    assert.decision(session:login("ann", "b")).is_reject()
    assert.decision(session:login("bob", "b")).is_tempfail { log = "bob" }
    assert.is_nil(session:ended())
    assert.decision(session:login("cid", "b")).is_reject()
    assert.equal("too_many_attempts", session:ended())
    assert.equal(4, #gw:calls())
  end)

  it("waits where a policy says so, and not for ever", function()
    local gw = gateway { auth = [[
      session.vars.asked = (session.vars.asked or 0) + 1
      if session.vars.asked < 3 then return moongate.wait { seconds = 2 } end
      return moongate.accept { upstream = "10.0.0.1" }]] }
    assert.decision(gw:session():login("a", "b")).is_accept()
    assert.equal(4, gw.clock.now)
    gw = gateway { auth = "return moongate.wait { seconds = 2 }" }
    assert.decision(gw:session():login("a", "b")).is_tempfail {
      log = "the policy said wait too often" }
  end)

  it("takes the listener's rules for user names", function()
    local gw = gateway({ auth = "return moongate.reject { reason = a.user }" },
      { listener = "username = { case = \"lower\", default_domain = \"example.org\" }" })
    assert.decision(gw:session():login("Alice", "b")).is_reject { reason = "alice@example.org" }
  end)

  it("delays a refusal", function()
    local gw = gateway { auth = "return moongate.reject { delay = 3 }" }
    assert.decision(gw:session():login("a", "b")).is_reject { delay = 3 }
    assert.equal(3, gw.clock.now)
  end)

  it("may be of any protocol and mechanism", function()
    local gw = gateway({ auth = [[
      return moongate.reject { reason = session.protocol .. " " .. a.mechanism }]] },
      { listener = "mechanisms = { \"PLAIN\", \"CRAM-MD5\" }" })
    assert.decision(gw:session():login("a", nil, { mechanism = "CRAM-MD5", challenge = "<1@b>",
      response = ("0"):rep(32) })).is_reject { reason = "imap CRAM-MD5" }
    assert.decision(gw:session { protocol = "smtp" }:login("a", "b"))
      .is_reject { reason = "smtp PLAIN" }
  end)
end)

describe("a login by TLS", function()
  local SAY = [[return moongate.reject { reason = session.tls and session.tls.sni or "clear" }]]

  it("has it from the first byte", function()
    local gw = gateway { connect = SAY, secured = "error 'not asked'" }
    local session = gw:session { tls = { sni = "mail.example.org" } }
    assert.decision(session:login("a", "b")).is_reject { reason = "mail.example.org" }
  end)

  it("or after STARTTLS, and then asks `secured`", function()
    local gw = gateway { connect = "assert(not session.tls)", secured = "", auth = SAY }
    local session = gw:session { tls = { sni = "mail.example.org", starttls = true } }
    assert.decision(session:login("a", "b")).is_reject { reason = "mail.example.org" }
    assert.equal("0.000 hook connect; 0.000 hook secured; 0.000 hook auth -> reject", hooks_of(gw))
  end)

  it("shows a certificate", function()
    local gw = gateway { auth = [[local c = session.tls.client_cert
      return moongate.reject { reason = c.verify .. " " .. c.subject }]] }
    local session = gw:session { tls = { client_cert = { subject = "CN=ann" } } }
    assert.decision(session:login("a", "b")).is_reject { reason = "SUCCESS CN=ann" }
  end)
end)

describe("a decision that is not the one expected", function()
  it("is shown, but no password of it", function()
    local gw = gateway { auth = [[return moongate.accept { upstream = "10.0.0.1",
      upstream_auth = moongate.login { password = "hunter2" } }]] }
    local d = gw:session():login("alice", "secret")
    local ok, err = pcall(function() assert.decision(d).is_reject { reason = "x" } end)
    local message = tostring(type(err) == "table" and err.message or err)
    assert.is_false(ok)
    assert.matches("{ kind = \"reject\", reason = \"x\" }", message, 1, true)
    assert.matches("address = \"10.0.0.1:143\"", message, 1, true)
    assert.is_nil(message:find("hunter2", 1, true))
    assert.error(function() assert.same({}, d) end)
    ok, err = pcall(function() assert.same({}, d) end)
    message = tostring(type(err) == "table" and err.message or err)
    assert.is_false(ok)
    assert.matches("secret%(redacted%)", message)
    assert.is_nil(message:find("hunter2", 1, true))
  end)

  it("may be excluded", function()
    local d = gateway { auth = ACCEPT }:session():login("a", "b")
    assert.decision(d).is_not_reject()
    assert.error(function() assert.decision(d).is_not_accept() end)
  end)
end)
