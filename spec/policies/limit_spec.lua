--- moongate.limit: so many in a time, so many at once.
local spec = require "moongate.spec"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  shared = { limits = "1m" },
  c.listen "spec" { protocol = "imap", policy = "p", address = "127.0.0.1:0",
    upstream = "10.0.0.1" },
}
]]

local HEAD = [[
local moongate, limit = require "moongate", require "moongate.limit"
local function say(text, ...) return moongate.reject { reason = tostring(text):format(...) } end
local slow = limit.bucket { dict = "limits", rate = "10/m", burst = 5 }
local places = limit.concurrent { dict = "limits", limit = 2 }
local P, unused = {}, { slow, places }
]]

local function gateway(body)
  return spec.open { config = CONFIG, files = { ["scripts/p.lua"] = HEAD
    .. "function P.auth(session, credentials) " .. body .. " end return P, say, unused" } }
end

local function said(gw, user)
  local decision = gw:session():login(user or "alice", "secret")
  return decision.kind == "reject" and decision.reason or decision.kind
end

describe("a bucket", function()
  local function take(gw, count, user)
    local words = {}
    for i = 1, count do words[i] = said(gw, user) end
    return table.concat(words, " ")
  end
  local BODY = [[
    local ok, seconds = slow:take(credentials.user)
    return say(ok and "yes" or ("%.1f"):format(seconds))]]

  it("gives a burst, then so many in a time", function()
    local gw = gateway(BODY)
    assert.equal("yes yes yes yes yes 6.0 6.0", take(gw, 7))
    gw.clock:advance(4)
    assert.equal("2.0", take(gw, 1))
    gw.clock:advance(2)
    assert.equal("yes 6.0", take(gw, 2))
    gw.clock:advance(12)
    assert.equal("yes yes 6.0", take(gw, 3))
    gw.clock:advance(1000)
    assert.equal("yes yes yes yes yes 6.0", take(gw, 6))
  end)

  it("is one for each key, and outlives a reload", function()
    local gw = gateway(BODY)
    assert.equal("yes yes yes yes yes 6.0", take(gw, 6))
    assert.equal("yes", take(gw, 1, "bob"))
    gw:reload {}
    assert.equal("6.0", take(gw, 1))
  end)

  it("does not end in the middle of a number, nor of a text", function()
    local gw = gateway [[
      local third = limit.bucket { dict = "limits", rate = "3/s", burst = 2 }
      local d = require "moongate.shared".get "limits"
      d:set("3/s:text", "x")
      local count = 0
      for _ = 1, 70 do
        if third:take(1) then count = count + 1 end
        moongate.sleep(0.1)
      end
      local ok, err = third:take "text"
      return say("%d %s %s", count, ok, err.kind)]]
    assert.equal("22 nil protocol", said(gw))
  end)

  it("refuses what makes no sense", function()
    for body, text in pairs {
      ['limit.bucket { dict = "limits", rate = "10" }'] = "rate:",
      ['limit.bucket { dict = "limits", rate = "0/s" }'] = "rate:",
      ['limit.bucket { dict = "limits", rate = "1/s", burst = 0.5 }'] = "burst: a whole",
      ['limit.bucket { dict = "limits", rate = "1/s", bursts = 1 }'] = "unknown field",
      ['limit.bucket { rate = "1/s" }'] = "dict:",
      ['limit.bucket { dict = "limit", rate = "1/s" }'] = "did you mean",
      ['limit.concurrent { dict = "limits" }'] = "limit: a whole",
      ["slow:take(credentials.password)"] = "is no key",
      ["slow:take()"] = "concatenate",
    } do
      local gw = gateway(("local ok, err = pcall(function() return %s end) "
        .. "return say('%%s %%s', ok, err:sub(1, 300))"):format(body))
      local result = said(gw)
      assert.matches("^false", result)
      assert.matches(text, result, 1, true)
    end
  end)
end)

describe("places", function()
  it("are held by sessions until they end", function()
    local gw = gateway [[
      local ok = places:take(credentials.user, session)
      if not ok then return say("full %d", places:held(credentials.user)) end
      if credentials.user == "back" then
        assert(places:give_back(credentials.user, session))
        return say("%d", places:held(credentials.user))
      end
      return moongate.accept()]]
    local first = gw:session()
    assert.equal("accept", first:login("alice", "x").kind)
    assert.equal("accept", said(gw))
    assert.equal("full 2", said(gw))
    assert.equal("accept", said(gw, "bob"))
    assert.equal("0", said(gw, "back"))
    first = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("accept", said(gw))
  end)
end)
