--- What the host counts of hooks and policies, and what it makes of a state that is full.
local spec = require "moongate.spec"

local POLICY = [[
local moongate = require "moongate"
local kept = {}

local auth = {
  fails = function() error "on purpose" end,
  lies = function() return true end,
  spins = function() while true do end end,
  hangs = function() moongate.sleep(60) end,
  reveals = function(session, credentials)
    return moongate.reject { log = credentials.password:reveal():rep(2) }
  end,
  counts = function(session)
    moongate.count("seen", { what = "this" })
    session:count "hook_cpu_kills_total" -- a policy's own, whatever it is called
    return moongate.accept()
  end,
  many = function()
    for i = 1, 1100 do moongate.count("many", { i = i }) end
    return moongate.accept()
  end,
  full = function() kept[#kept + 1] = ("x"):rep(3e8) end,
  caught = function() pcall(string.rep, "x", 3e8) return moongate.accept() end,
}

return {
  mechanisms = function(session)
    if session.user == "broken" then error "no mechanism" end
    return { "PLAIN" }
  end,
  auth = function(session, credentials)
    local one = auth[credentials.user]
    if one then return one(session, credentials) end
    return moongate.accept()
  end,
  route = function() end,
}
]]

local function open()
  return spec.policy { "p", listener = "limits = { hook_timeout = 0.1 }",
    files = { ["scripts/p.lua"] = POLICY } }
end

local function ask(session, user) return session:auth { user = user, password = "x" } end

local function login(g, user) return ask(g:session(), user) end

describe("the host counts", function()
  it("hooks, and how they end", function()
    local g = open()
    for _, user in ipairs { "fails", "lies", "spins", "hangs", "ann", "ann" } do login(g, user) end
    g:session():route()
    g:session { user = "broken" }:mechanisms()
    local function assert_counts(wanted)
      for name, count in pairs(wanted) do assert.equal(count, g:counter(name), name) end
    end
    local wanted = {
      ['hook_calls_total{hook="auth"}'] = 6,
      ['hook_calls_total{hook="route"}'] = 1,
      ['hook_calls_total{hook="mechanisms"}'] = 1,
      ['hook_errors_total{hook="auth",policy="p"}'] = 3,
      ['hook_errors_total{hook="mechanisms",policy="p"}'] = 1,
      ['hook_timeouts_total{hook="auth",policy="p"}'] = 1,
      ['hook_cpu_kills_total'] = 1,
      ['decisions_total{hook="auth",kind="accept"}'] = 2,
      ['decisions_total{hook="auth",kind="tempfail"}'] = 4,
      ['decisions_total{hook="route",kind="nil"}'] = 1,
      ['hook_overload_total'] = 0,
    }
    assert_counts(wanted)
    local calls, bugs = g:totals()
    assert.equal(8, calls)
    assert.equal(4, bugs) -- a time-out is none

    g:reload()
    assert_counts(wanted)
    calls, bugs = g:totals()
    assert.equal(0, calls + bugs)
  end)

  it("every password that a policy reveals", function()
    local g = open()
    assert.decision(login(g, "reveals")).is_reject()
    assert.decision(login(g, "reveals")).is_reject()
    assert.equal(2, g:counter 'secret_reveals_total{policy="p"}')
  end)

  it("what policies count apart, and at most 1,000 of it", function()
    local g = open()
    login(g, "spins")
    login(g, "counts")
    g:reload()
    login(g, "counts")
    assert.equal(2, g:counter 'seen{what="this"}')
    assert.equal(3, g:counter "hook_cpu_kills_total") -- one of the host's, two of the policy's
    assert.decision(login(g, "many")).is_accept()
    assert.equal(1, g:counter 'many{i="1"}')
    assert.equal(0, g:counter 'many{i="1050"}')
  end)

  it("the memory of all states", function()
    local g = open()
    local one = g:counter "lua_memory_bytes"
    assert.is_true(one > 1e5 and one < 1e7)
    g:reload() -- both live for a moment
    assert.is_true(math.abs(g:counter "lua_memory_bytes" - one) < one / 2)
  end)
end)

describe("a state that is full", function()
  it("is to be built anew when that happens twice within a minute", function()
    local g = open()
    assert.decision(login(g, "full")).is_tempfail { bug = true }
    assert.is_false(g:exhausted())
    assert.decision(login(g, "caught")).is_accept() -- the memory was full all the same
    assert.is_true(g:exhausted())
    assert.equal(2, g:counter "lua_memory_exhausted_total")
    g:reload()
    assert.is_false(g:exhausted())
    assert.decision(login(g, "ann")).is_accept()
  end)
end)

describe("a hundred thousand hooks", function()
  it("leave nothing behind", function()
    local g = spec.policy { "p", files = { ["scripts/p.lua"] = [[
      local moongate = require "moongate"
      return { auth = function(session, credentials)
        if credentials.user == "fails" then error { credentials.user } end
        if credentials.user == "waits" then moongate.sleep(0) end
        session.vars.n = (session.vars.n or 0) + 1
        return moongate.accept { user = credentials.user .. session.vars.n }
      end }]] } }
    local function run(count)
      for _ = 1, count / 20 do
        local session = g:session()
        for i = 1, 20 do ask(session, i > 18 and "fails" or i > 14 and "waits" or "ann") end
        spec.logged()
      end
      return g:counter "lua_memory_bytes"
    end
    local most = 0
    for _ = 1, 10 do most = math.max(most, run(1000)) end
    for _ = 1, 9 do assert.is_true(run(10000) < 1.5 * most) end
    assert.equal(100000, (g:totals()))
  end)
end)
