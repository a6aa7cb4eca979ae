--- Databases and directories that a spec of policies stands in for.
local spec = require "moongate.spec"

local QUERY = "select host, port from mailbox where login = $1"
local SETTINGS = { directory = {
  ldap = { url = "ldap://ldap.test", timeout = 2 }, dn = "uid={user},dc=test",
  sql = { url = "postgres://gateway@db.test/mail", tls = false, timeout = 1 },
} }

describe("moongate.spec", function()
  local gw, heard

  before_each(function()
    gw = spec.policy { "directory", settings = SETTINGS }
    heard = {}
    gw.ldap:reply("bind", function(question)
      heard.bind = question
      return question.password == "secret"
    end)
    gw.sql:reply(QUERY, function(question)
      heard.sql = question
      return { { host = "10.0.0.5", port = 143 } }
    end)
  end)

  local function login(user, password) return gw:session():login(user, password or "secret") end

  it("answers a bind and a query", function()
    assert.decision(login "ann").is_accept { address = "10.0.0.5:143" }
    assert.equal("uid=ann,dc=test", heard.bind.dn)
    assert.same({ "ann" }, heard.sql.parameters)
  end)

  it("answers no, and with no row", function()
    assert.decision(login("ann", "wrong")).is_reject { reason = "bad-credentials" }
    assert.is_nil(heard.sql)
    gw.sql:reply(QUERY, {})
    assert.decision(login "ann").is_reject { reason = "no-mailbox" }
  end)

  it("takes a plain false for an answer", function()
    gw.ldap:reply("bind uid=ann,dc=test", false)
    assert.decision(login "ann").is_reject()
    gw.ldap:reply("bind uid=ann,dc=test", true)
    assert.decision(login "ann").is_accept()
  end)

  it("never asks about an empty password", function()
    assert.decision(login("ann", "")).is_reject { reason = "bad-credentials" }
    assert.is_nil(heard.bind)
  end)

  it("escapes what goes into a name", function()
    assert.decision(login 'a,uid=b"').is_accept()
    assert.equal([[uid=a\2cuid\3db\22,dc=test]], heard.bind.dn)
  end)

  for _, kind in ipairs { "connect", "timeout", "dns", "tls", "closed", "protocol", "overload" } do
    it("fails by " .. kind .. ", which is a temporary failure", function()
      gw.sql:fail(QUERY, kind)
      assert.decision(login "ann").is_tempfail()
      gw.ldap:fail("bind", kind)
      assert.decision(login "ann").is_tempfail()
      assert.equal("454 4.7.0 Temporary failure, try again later", login "ann":wire "smtp")
    end)
  end

  it("delays, up to the timeout of the pool", function()
    gw.ldap:delay(1.5)
    assert.decision(login "ann").is_accept()
    assert.equal(1.5, gw.clock.now)
    gw.ldap:delay(30)
    assert.decision(login "ann").is_tempfail()
    assert.equal(3.5, gw.clock.now)
  end)

  it("cancels with the hook", function()
    gw.ldap:delay(1)
    assert.is_true(gw:session { user = "ann", password = "secret" }:cancel "auth")
    gw.clock:advance(5)
    assert.is_nil(heard.sql)
  end)

  it("tells the calls, and raises for what nobody answers", function()
    login "ann"
    local names = {}
    for _, call in ipairs(gw:calls()) do
      if call.kind ~= "hook" then table.insert(names, call.kind .. " " .. call.name) end
    end
    assert.same({ "ldap bind uid=ann,dc=test", "sql " .. QUERY }, names)
    gw = spec.policy { "directory", settings = SETTINGS }
    assert.error_matches(function() login "ann" end, "unmocked I/O: ldap bind uid=ann,dc=test")
  end)
end)
