--- The sessions of others, that a spec of policies stands in for.
local spec = require "moongate.spec"

local POLICY = [[
local moongate = require "moongate"
local sessions = require "moongate.sessions"

return {
  auth = function(session, credentials)
    local count, err = sessions.count { user = credentials.user, protocol = "imap" }
    if not count then return moongate.tempfail { log = err } end
    if count < 3 then return moongate.accept { upstream = "10.0.0.5:143" } end
    sessions.kick { user = credentials.user, except = session.id, reason = "too many" }
    return moongate.reject { reason = "limit" }
  end,
}
]]

describe("moongate.spec", function()
  local gw

  before_each(function() gw = spec.policy { "p", files = { ["scripts/p.lua"] = POLICY } } end)

  local function login() return gw:session():login("ann", "secret") end

  it("answers how many sessions there are", function()
    gw.sessions:reply("count ann", 2)
    assert.decision(login()).is_accept()
    assert.equal("0.000 sessions count ann", tostring(gw:calls()[1]))
  end)

  it("is told whom a policy counts and ends", function()
    local heard = {}
    for _, what in ipairs { "count", "kick" } do
      gw.sessions:reply(what, function(question)
        heard[what] = question
        return 5
      end)
    end
    assert.decision(login()).is_reject { reason = "limit" }
    assert.same({ what = "count", user = "ann", protocol = "imap" }, heard.count)
    assert.equal("too many", heard.kick.reason)
    assert.truthy(heard.kick.except)
  end)

  it("fails, which is a temporary failure", function()
    gw.sessions:fail("count", "timeout"):delay(2)
    assert.decision(login()).is_tempfail()
    assert.equal(2, gw.clock.now)
  end)

  it("cancels with the hook", function()
    gw.sessions:reply("count", 1):delay(5)
    assert.is_true(gw:session { user = "ann", password = "secret" }:cancel "auth")
    gw.clock:advance(10)
  end)

  it("raises what nobody answers", function()
    local ok, err = pcall(login)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("unmocked I/O: sessions count ann", 1, true), err)
  end)
end)
