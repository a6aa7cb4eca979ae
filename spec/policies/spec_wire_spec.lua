--- What clients are told: the golden table of every reason, in the three protocols.
local spec = require "moongate.spec"

--- A gateway whose hook `hook` returns `decision`, a text.
local function deciding(hook, decision)
  return spec.policy { "p", files = { ["scripts/p.lua"] = ([[
    local moongate = require "moongate"
    return { %s = function() return %s end }]]):format(hook, decision) } }
end

local function wires(d) return { d:wire "imap", d:wire "pop3", d:wire "smtp" } end

local function refused(decision)
  return deciding("auth", decision):session():login("alice", "secret")
end

local function rejected(reason)
  return refused(("moongate.reject { reason = %q }"):format(reason))
end

describe("a refused login is told", function()
  for reason, wanted in pairs {
    ["bad-credentials"] = { "NO [AUTHENTICATIONFAILED] Authentication failed",
      "-ERR [AUTH] Authentication failed", "535 5.7.8 Authentication failed" },
    ["invalid-token"] = { "NO [AUTHENTICATIONFAILED] Authentication failed",
      "-ERR [AUTH] Authentication failed", "535 5.7.8 Authentication failed" },
    ["not-allowed"] = { "NO [AUTHORIZATIONFAILED] Access denied", "-ERR [AUTH] Access denied",
      "535 5.7.0 Access denied" },
    ["a word of my own"] = { "NO [AUTHORIZATIONFAILED] Access denied",
      "-ERR [AUTH] Access denied", "535 5.7.0 Access denied" },
    ["limit"] = { "NO [LIMIT] Too many connections or attempts, try again later",
      "-ERR [IN-USE] Too many connections or attempts, try again later",
      "454 4.7.0 Too many connections or attempts, try again later" },
    ["rate-limited"] = { "NO [LIMIT] Too many connections or attempts, try again later",
      "-ERR [IN-USE] Too many connections or attempts, try again later",
      "454 4.7.0 Too many connections or attempts, try again later" },
    ["too-many-sessions"] = { "NO [LIMIT] Too many connections or attempts, try again later",
      "-ERR [IN-USE] Too many connections or attempts, try again later",
      "454 4.7.0 Too many connections or attempts, try again later" },
    ["expired"] = { "NO [EXPIRED] Password has expired", "-ERR [AUTH] Password has expired",
      "535 5.7.8 Password has expired" },
    ["tls-required"] = { "NO [PRIVACYREQUIRED] TLS is required to log in",
      "-ERR TLS is required to log in", "538 5.7.11 TLS is required to log in" },
    ["unavailable"] = { "NO [UNAVAILABLE] Temporary failure, try again later",
      "-ERR [SYS/TEMP] Temporary failure, try again later",
      "454 4.7.0 Temporary failure, try again later" },
    ["server-bug"] = { "NO [SERVERBUG] Internal error, please tell the administrator",
      "-ERR [SYS/PERM] Internal error, please tell the administrator",
      "454 4.7.0 Internal error, please tell the administrator" },
    ["too-many"] = { "NO Too many errors", "-ERR Too many errors", "421 4.7.0 Too many errors" },
    ["timeout"] = { "NO Timed out waiting for a login", "-ERR Timed out waiting for a login",
      "421 4.4.2 Timed out waiting for a login" },
    ["shutdown"] = { "NO [UNAVAILABLE] Server is shutting down, try again later",
      "-ERR [SYS/TEMP] Server is shutting down, try again later",
      "421 4.3.2 Server is shutting down, try again later" },
  } do
    it(("for %q"):format(reason), function()
      assert.same(wanted, wires(rejected(reason)))
    end)
  end

  it("as temporary when it is", function()
    assert.same({ "NO [UNAVAILABLE] Temporary failure, try again later",
      "-ERR [SYS/TEMP] Temporary failure, try again later",
      "454 4.7.0 Temporary failure, try again later" }, wires(refused "moongate.tempfail()"))
  end)

  it("as temporary when the policy is broken", function()
    assert.equal("NO [UNAVAILABLE] Temporary failure, try again later",
      refused("error \"x\""):wire "imap")
  end)

  it("in the policy's words", function()
    local d = refused [[moongate.reject { text = "Call 555", code = "550", enhanced = "5.1.1" }]]
    assert.same({ "NO [AUTHENTICATIONFAILED] Call 555", "-ERR [AUTH] Call 555",
      "550 5.1.1 Call 555" }, wires(d))
  end)

  it("in the protocol of the session when none is named", function()
    local session = deciding("auth", "moongate.tempfail()"):session { protocol = "pop3" }
    assert.equal("-ERR [SYS/TEMP] Temporary failure, try again later",
      session:login("a", "b"):wire())
  end)
end)

describe("a refusal", function()
  it("of a connection takes the place of the greeting", function()
    local d = deciding("connect", "moongate.reject()"):session():login("a", "b")
    assert.same({ "* BYE [AUTHORIZATIONFAILED] Access denied", "-ERR [AUTH] Access denied",
      "554 5.7.1 Access denied" }, wires(d))
    d = deciding("connect", "moongate.tempfail()"):session():connect()
    assert.equal("421 4.3.0 Temporary failure, try again later", d:wire "smtp")
  end)

  it("of a command and of a recipient has codes of its own", function()
    local smtp = { protocol = "smtp", rcpt = "RCPT TO:<a@b>" }
    assert.equal("550 5.7.1 Access denied",
      deciding("helo", "moongate.reject()"):session { protocol = "smtp" }:helo():wire())
    assert.equal("451 4.3.0 Temporary failure, try again later",
      deciding("rcpt", "moongate.tempfail()"):session(smtp):rcpt():wire())
  end)

  it("by the session itself is told as well", function()
    local d = deciding("auth", "moongate.accept()"):session():login("a", "b")
    assert.decision(d).is_tempfail { log = "no policy named an upstream" }
    assert.equal("NO [UNAVAILABLE] Temporary failure, try again later", d:wire())
    d = deciding("auth", "moongate.accept()"):session():login("a\1b", "b")
    assert.equal("NO [AUTHENTICATIONFAILED] Authentication failed", d:wire())
  end)

  it("is all that is told: an accept is the upstream's to answer", function()
    local d = refused "moongate.accept { upstream = \"10.0.0.1\" }"
    assert.error_matches(function() d:wire "imap" end, "only a refusal is told by the gateway")
    d = refused "moongate.tempfail()"
    assert.error_matches(function() d:wire "nntp" end, "no such protocol: nntp")
  end)
end)
