local hash = require "moongate.hash"
local spec = require "moongate.spec"

local URL = "redis://10.0.0.2:6379/0"
local A, B = "10.0.0.11:143", "10.0.0.12:143"
local KEY = "mg:node:ann"

describe("ratelimit_sticky", function()
  local stored, count

  --- A gateway whose Redis knows just enough.
  local function gateway(more)
    local settings = { url = URL, limit = 3, nodes = { A, B } }
    for name, value in pairs(more or {}) do settings[name] = value end
    local gw = spec.policy { "ratelimit_sticky", "static",
      settings = { ratelimit_sticky = settings, static = { upstream = A } } }
    gw.redis:reply("EVAL", function(words)
      if words[2]:find "INCR" then
        count = count + 1
        return count
      end
      if stored == words[5] then stored = nil end
      return 1
    end)
    gw.redis:reply("GET " .. KEY, function() return stored end)
    gw.redis:reply("PEXPIRE " .. KEY, 1)
    gw.redis:reply("SET " .. KEY, function(words)
      assert(words[#words] == "NX")
      if stored then return false end
      stored = words[3]
      return true
    end)
    return gw
  end

  before_each(function() stored, count = nil, 0 end)

  it("lets an address try so often, and then says that it was too often", function()
    local gw = gateway()
    for _ = 1, 3 do assert.decision(gw:session():login("ann", "x")).is_accept() end
    local d = gw:session():login("ann", "x")
    assert.decision(d).is_reject { reason = "rate-limited", close = true }
    assert.matches("^NO %[LIMIT%]", d:wire "imap")
    assert.matches("^%-ERR %[IN%-USE%]", d:wire "pop3")
    assert.matches("^454 4%.7%.0", d:wire "smtp")
  end)

  it("counts logins by SCRAM once, and where the password is wrong too", function()
    local gw = gateway()
    for i = 1, 3 do
      local session = gw:session { mechanism = "SCRAM-SHA-256", user = "ann" }
      session:verifier() -- there is nobody behind it who has verifiers
      assert.equal(i, count)
      assert.decision(session:auth()).is_accept()
      assert.equal(i, count)
    end
    local d = gw:session():login("ann", "x", { mechanism = "SCRAM-SHA-256" })
    assert.decision(d).is_reject { reason = "rate-limited", close = true }
    assert.matches("^NO %[LIMIT%]", d:wire "imap")
  end)

  it("keeps a user where they are, and remembers where a new one goes", function()
    local gw = gateway()
    assert.decision(gw:session { user = "ann" }:route()).is_to { address = A }
    assert.equal(A, stored)
    stored = B
    assert.decision(gw:session { user = "ann" }:route()).is_to { address = B }
  end)

  it("sends a new one where the ring leads to, from every gateway", function()
    local ring, seen = hash.ring { A, B }, {}
    for _, nodes in ipairs { { A, B }, { B, A } } do
      local gw = gateway { nodes = nodes }
      for i = 1, 20 do
        local user = "user" .. i
        gw.redis:reply("GET mg:node:" .. user, function() return nil end)
        gw.redis:reply("SET mg:node:" .. user, true)
        local node = ring:pick(user)
        assert.decision(gw:session { user = user }:route()).is_to { address = node }
        seen[node] = true
      end
    end
    assert.same({ [A] = true, [B] = true }, seen)
  end)

  it("gives in to a gateway that was quicker", function()
    local gw = gateway()
    gw.redis:reply("SET " .. KEY, function()
      stored = B
      return false
    end)
    assert.decision(gw:session { user = "ann" }:route()).is_to { address = B }
  end)

  it("chooses anew where the server is not one of the list any more", function()
    stored = "10.9.9.9:143"
    local gw = gateway()
    assert.decision(gw:session { user = "ann" }:route()).is_to { address = A }
    assert.equal(A, stored)
  end)

  it("moves a user from a server that can't be reached", function()
    stored = A
    local gw = gateway()
    local d = gw:session { user = "ann", upstream = A }:connect_failed({ address = A }, "refused")
    assert.decision(d).is_retry { address = B }
    assert.equal(B, stored)
  end)

  for _, kind in ipairs { "connect", "dns", "timeout" } do
    it("is a temporary failure while Redis fails: " .. kind, function()
      local gw = gateway()
      gw.redis:fail(URL, kind)
      local d = gw:session():login("ann", "x")
      assert.decision(d).is_tempfail()
      assert.equal("NO [UNAVAILABLE] Temporary failure, try again later", d:wire "imap")
      assert.decision(gw:session { user = "ann" }:route()).is_tempfail()
    end)
  end

  it("is a temporary failure where Redis breaks off, answers nonsense, or with an error", function()
    for _, answer in ipairs { { fail = "closed" }, { fail = "protocol" }, { fail = "timeout" },
      { error = "OOM command not allowed" }, { error = "LOADING the dataset" } } do
      local gw = gateway()
      gw.redis:reply("EVAL", answer)
      assert.decision(gw:session():login("ann", "x")).is_tempfail()
      assert.is_true(gw.clock.now <= 0.5)
    end
  end)

  it("may go on without Redis", function()
    local gw = gateway { fail_open = true }
    gw.redis:fail(URL, "connect")
    assert.decision(gw:session():login("ann", "x")).is_accept()
    assert.decision(gw:session { user = "ann" }:route()).is_to { address = A }
  end)

  it("takes no longer than it may", function()
    local gw = gateway()
    gw.redis:delay(30)
    assert.decision(gw:session():login("ann", "x")).is_tempfail()
    assert.is_true(gw.clock.now <= 1)
  end)

  it("is named for who looks on", function()
    local gw = gateway()
    gw:session { user = "ann" }:route()
    local names = {}
    for _, call in ipairs(gw:calls()) do names[#names + 1] = call.kind .. " " .. call.name end
    assert.same({ "redis GET " .. KEY, "redis SET " .. KEY, "hook route" }, names)
  end)
end)
