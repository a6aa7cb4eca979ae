--- The `verifier` hook in specs of policies and in `moongate try`, and what makes verifiers.
local command = require "spec.support.command"
local scram = require "spec.support.scram"
local spec = require "moongate.spec"

-- U+2168 is a letter that SASLprep makes "IX" of.
local PASSWORDS = { alice = "moonlight", ["b,=b"] = "p,=w", prepared = "I\194\173X\226\133\168",
  ["\195\164"] = "\195\164" }

local POLICY = [[
local crypt = require "moongate.crypt"
local moongate = require "moongate"
local passwords = moongate.settings("users", { values = "string" })

return {
  verifier = function(session, request)
    if request.user == "down" then return moongate.tempfail { log = "the table is away" } end
    if request.user == "broken" then return moongate.verifier { stored = "nonsense" } end
    if not passwords[request.user] then return moongate.reject { reason = "unknown" } end
    local stored, err = crypt.hash(passwords[request.user],
      { scheme = request.mechanism:lower(), rounds = request.iterations, salt = request.salt })
    if not stored then return moongate.tempfail { log = err } end
    session.vars.asked = ("%s %s %s"):format(request.mechanism, request.user,
      request.authzid or "-")
    return moongate.verifier { stored = stored }
  end,
  auth = function(session, credentials)
    if credentials.password then return moongate.reject { reason = "no-password-please" } end
    return moongate.accept { upstream = "10.0.0.5:143", user = session.vars.asked,
      upstream_auth = moongate.login { user = credentials.mechanism, password = "boss" } }
  end,
}
]]

local function gateway(text, more)
  local options = { "p", files = { ["scripts/p.lua"] = text or POLICY },
    settings = { users = PASSWORDS } }
  for name, value in pairs(more or {}) do options[name] = value end
  return spec.policy(options)
end

--- A policy whose `verifier` is this body.
local function answering(body)
  return gateway(([[
    local moongate = require "moongate"
    return { verifier = function(session, request) %s end }]]):format(body))
end

describe("a login by SCRAM under a spec", function()
  for _, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
    it("proves the password, by " .. mechanism, function()
      local gw = gateway()
      local d = gw:session():login("alice", "moonlight", { mechanism = mechanism })
      assert.decision(d).is_accept { address = "10.0.0.5:143", user = mechanism .. " alice -" }
      assert.equal(mechanism, d.login.user)
      local calls = {}
      for i, call in ipairs(gw:calls()) do
        calls[i] = ("%s=%s"):format(call.name, call.decision)
      end
      assert.equal("verifier=verifier auth=accept", table.concat(calls, " "))
    end)

    it("proves it within TLS, by " .. mechanism .. "-PLUS", function()
      local d = gateway():session { tls = {} }:login("alice", "moonlight",
        { mechanism = mechanism .. "-PLUS", authzid = "bob" })
      assert.decision(d).is_accept { user = mechanism .. " alice bob" }
      assert.equal(mechanism .. "-PLUS", d.login.user)
    end)
  end

  it("takes names and passwords as SASLprep has them", function()
    local function login(user, password)
      return gateway():session():login(user, password, { mechanism = "SCRAM-SHA-256" })
    end
    assert.decision(login("b,=b", "p,=w")).is_accept()
    assert.decision(login("\195\164", "a\204\136")).is_accept() -- the same, in two signs
    assert.decision(login("prepared", "IXIX")).is_accept()
    assert.decision(login("prepared", "ixix")).is_reject()
  end)

  it("is refused in the same words for a wrong password and for no user", function()
    for protocol, words in pairs { imap = "NO [AUTHENTICATIONFAILED] Authentication failed",
      pop3 = "-ERR [AUTH] Authentication failed", smtp = "535 5.7.8 Authentication failed" } do
      for _, user in ipairs { "alice", "nobody" } do
        local d = gateway():session():login(user, "wrong", { mechanism = "SCRAM-SHA-256" })
        assert.same({ "reject", words }, { d.kind, d:wire(protocol) })
      end
    end
  end)

  it("fails for the moment when the policy does, or has no answer", function()
    for _, user in ipairs { "down", "broken" } do
      local d = gateway():session():login(user, "wrong", { mechanism = "SCRAM-SHA-256" })
      assert.decision(d).is_tempfail()
      assert.equal("NO [UNAVAILABLE] Temporary failure, try again later", d:wire "imap")
    end
    for _, body in ipairs { "", "return true", "return moongate.accept()", "error {}" } do
      assert.decision(answering(body):session():login("a", "b", { mechanism = "SCRAM-SHA-1" }))
        .is_tempfail()
    end
    spec.logged()
  end)

  it("fails for the moment with a verifier of another hash", function()
    local stored = scram.verifier("SCRAM-SHA-256", "moonlight")
    local gw = answering(("return moongate.verifier { stored = %q }"):format(stored.dovecot))
    assert.decision(gw:session():login("a", "moonlight", { mechanism = "SCRAM-SHA-1" }))
      .is_tempfail()
    assert.matches("the verifier is of SCRAM%-SHA%-256, the client wants SCRAM%-SHA%-1",
      spec.logged())
    assert.decision(gw:session():login("a", "wrong", { mechanism = "SCRAM-SHA-256" })).is_reject()
  end)

  it("may ask the hook alone", function()
    local session = gateway():session { user = "alice", mechanism = "SCRAM-SHA-256" }
    assert.decision(session:verifier()).is_verifier { policy = "p" }
    assert.decision(session:verifier { user = "nobody" }).is_reject { reason = "unknown" }
    assert.decision(session:verifier { user = "down" }).is_tempfail { log = "the table is away" }
  end)
end)

describe("moongate.verifier", function()
  local stored = scram.verifier("SCRAM-SHA-256", "moonlight", "salt", 5000)

  --- What comes of a verifier that is written so.
  local function login(options)
    return answering(("return moongate.verifier %s"):format(options)):session()
      :login("a", "moonlight", { mechanism = "SCRAM-SHA-256" })
  end

  it("takes what Dovecot and PostgreSQL store, a secret, and four columns", function()
    for _, options in ipairs { ("{ stored = %q }"):format(stored.dovecot),
      ("{ stored = %q }"):format(stored.postgresql),
      ("{ stored = moongate.secret.of(%q) }"):format(stored.postgresql),
      ("{ iterations = 5000, salt = %q, stored_key = %q, server_key = %q }"):format(stored.salt,
        stored.stored_key, stored.server_key) } do
      local d = login(options) -- there is no `auth`
      assert.decision(d).is_tempfail { log = "no policy decided" }
    end
  end)

  it("raises for anything else", function()
    for options, message in pairs {
      ["{}"] = "verifier: it is none", ["{ stored = \"\" }"] = "verifier: it is none",
      ["{ stored = \"{SSHA}x\" }"] = "verifier: it is none",
      ["{ stored = 1 }"] = "a secret or text",
      [("{ stored = %q, iterations = 1 }"):format(stored.dovecot)] = "verifier: it is none",
      ["{ iterations = 0 }"] = "a number from", ["{ salts = 1 }"] = "did you mean \"salt\"",
      [("{ iterations = 5000, salt = %q, stored_key = %q }"):format(stored.salt,
        stored.stored_key)] = "verifier: it is none",
    } do
      assert.decision(login(options)).is_tempfail()
      assert.matches(message, spec.logged(), 1, true)
    end
  end)
end)

describe("crypt.hash", function()
  local crypt = require "moongate.crypt"

  for _, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
    it("makes what others make, of " .. mechanism, function()
      spec.run(function()
        local made = assert(crypt.hash("moonlight", { scheme = mechanism:lower(), rounds = 5000,
          salt = "c2FsdA==" }))
        assert.equal(scram.verifier(mechanism, "moonlight", "salt", 5000).dovecot, made)
        local other = crypt.hash("moonlight", { scheme = mechanism:lower() })
        assert.matches("^{" .. mechanism:gsub("%-", "%%-") .. "}4096,", other)
        assert.not_equal(other, crypt.hash("moonlight", { scheme = mechanism:lower() }))
      end)
    end)

    it("checks a password by a verifier, of " .. mechanism, function()
      spec.run(function()
        local stored = scram.verifier(mechanism, "IX", "salt", 5000)
        for _, text in ipairs { stored.dovecot, stored.postgresql } do
          assert.is_true(crypt.verify("IX", text))
          assert.is_true(crypt.verify("\226\133\168", text))
          assert.is_false(crypt.verify("ix", text))
          assert.is_false(crypt.verify("IX\0", text))
          assert.is_false(crypt.verify("\255", text))
        end
        local result, err = crypt.verify("IX", stored.dovecot .. "x")
        assert.same({ nil, "protocol" }, { result, err.kind })
      end)
    end)
  end

  it("refuses a salt that is none, and one of another scheme", function()
    spec.run(function()
      for salt, message in pairs { [""] = "base64 of 1 to 64 bytes", ["!"] = "base64 of 1 to 64",
        [("c2Fs"):rep(22)] = "base64 of 1 to 64 bytes" } do
        assert.error_matches(function()
          crypt.hash("x", { scheme = "scram-sha-256", salt = salt })
        end, message)
      end
      assert.error_matches(function() crypt.hash("x", { salt = "c2FsdA==" }) end, "SCRAM only")
      local result, err = crypt.hash("a\0b", { scheme = "scram-sha-256" })
      assert.same({ nil, "protocol" }, { result, err.kind })
    end)
  end)
end)

describe("moongate try", function()
  it("tells what comes of a login by SCRAM", function()
    local folder = command.folder {
      ["moongate.lua"] = [[
        local c = require "moongate.config"
        return c.gateway { settings = { users = { alice = "moonlight" } },
          c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "p" },
            mechanisms = { "SCRAM-SHA-256" } } }]],
      ["scripts/p.lua"] = POLICY,
    }
    finally(function() command.remove(folder) end)
    local function try(password)
      return (command.run("try imap --user alice --mechanism scram-sha-256 --password-stdin "
        .. "-c moongate.lua", { folder = folder, input = password .. "\n" }))
    end
    local output = try "moonlight"
    assert.matches("#0 verifier +p%.lua:%d+ +%-> verifier.*#1 auth .*decision accept", output)
    assert.matches("verifier.*decision reject .*%[AUTHENTICATIONFAILED%]", (try "wrong"))
  end)
end)
