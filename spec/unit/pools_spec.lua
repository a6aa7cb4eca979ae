--- Which member of a pool a login goes to, and what is known of the members' health.
local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load("session/pool.h", "session/pools.h")

local BALANCE = { least = "BALANCE_LEAST", round_robin = "BALANCE_ROUND_ROBIN",
  hash = "BALANCE_HASH" }

local Pool = {}
Pool.__index = Pool

--- The pools of a worker, which end with the test.
local function worker()
  local pools = core.pools_new()
  local held = {}
  finally(function()
    for _, pool in ipairs(held) do
      for _, login in ipairs(pool.logins) do login:leaves() end
      for i = 0, pool.size - 1 do core.member_unref(pool.members[i].member) end
    end
    core.pools_free(pools)
  end)
  return pools, held
end

local function place(pool, host, port)
  return ffi.new("struct place", { support.slice(pool), support.slice(host), port or 0 })
end

--- A pool as a configuration makes it: members are hosts, or { host, weight =, backup = }.
local function configure(pools, held, options)
  local self = setmetatable({ now = 1000, anchors = {}, logins = {}, pools = pools,
    size = #options }, Pool)
  self.members = ffi.new("struct pool_member[?]", #options)
  self.name = options.name or "imap"
  for i, member in ipairs(options) do
    if type(member) == "string" then member = { member } end
    local at = place(self.name, member[1], 143)
    self.members[i - 1] = ffi.new("struct pool_member", {
      host = at.host, port = at.port, weight = member.weight or 1, backup = member.backup or false,
      member = core.pools_take(pools, at),
    })
    table.insert(self.anchors, member[1])
  end
  self.real = ffi.new("struct pool", {
    name = support.slice(self.name), members = self.members, count = #options,
    balance = core[BALANCE[options.balance or "least"]],
    limits = { options.max_failures or 2, options.retry or 10 },
  })
  table.insert(held, self)
  return self
end

local function pool(options)
  local pools, held = worker()
  return configure(pools, held, options)
end

local Login = {}
Login.__index = Login

function Pool:login(key)
  local login = setmetatable({ pool = self, key = key or "", visit = ffi.new "struct visit",
    tries = ffi.new "struct pool_tries" }, Login)
  table.insert(self.logins, login)
  return login
end

--- The host of the member that is tried next, or nil; the session is there from now on.
function Login:go()
  core.visit_end(self.visit)
  local p = self.pool
  local member = core.pool_choose(p.real, support.slice(self.key), p.real.balance, p.now,
    self.tries)
  if member == nil then return nil end
  core.visit_begin(self.visit, member.member, p.now)
  return support.text(member.host)
end

function Login:fails()
  return core.visit_failed(self.visit, self.pool.real.limits, self.pool.now)
end

function Login:answers() return core.visit_succeeded(self.visit, self.pool.now) end

function Login:leaves() core.visit_end(self.visit) end

--- One login that tries everything, and meets `dead[host]`: where it was, and whether it is in.
function Pool:log_in(dead, key)
  local login, tried = self:login(key), {}
  while true do
    local host = login:go()
    if not host then return tried, false, login end
    table.insert(tried, host)
    if not dead[host] then
      login:answers()
      return tried, true, login
    end
    login:fails()
  end
end

function Pool:facts(i)
  local facts = ffi.new "struct member_facts"
  core.member_facts(self.members[i - 1].member, self.now, facts)
  return facts
end

--- How often each host is chosen by `count` logins that stay.
local function shares(p, count, keys)
  local found = {}
  for i = 1, count do
    local tried = p:log_in({}, keys and keys(i))
    found[tried[1]] = (found[tried[1]] or 0) + 1
  end
  return found
end

describe("a pool", function()
  it("gives a login to the member with the fewest sessions", function()
    local p = pool { "a", "b", "c" }
    assert.same({ a = 2, b = 2, c = 2 }, shares(p, 6))
    local _, _, first = p:log_in {}
    first:leaves()
    assert.equal(2, tonumber(p:facts(1).sessions))
    p.real.members[1].weight = 3 -- b may have three times as many
    assert.same({ b = 4 }, shares(p, 4))
  end)

  it("spreads logins that do not stay", function()
    local p, found = pool { "a", "b", "c" }, {}
    for _ = 1, 9 do
      local tried, _, login = p:log_in {}
      found[tried[1]] = (found[tried[1]] or 0) + 1
      login:leaves()
    end
    assert.same({ a = 3, b = 3, c = 3 }, found)
  end)

  it("serves in turn by weight, and smoothly", function()
    local p = pool { { "a", weight = 5 }, "b", "c", balance = "round_robin" }
    local order = {}
    for i = 1, 7 do order[i] = p:log_in({})[1] end
    assert.equal("a a b a c a a", table.concat(order, " ")) -- as nginx orders 5:1:1
    assert.same({ a = 5, b = 1, c = 1 }, shares(p, 7))
  end)

  it("sends a user to the same member, and moves only those of one that is down", function()
    local p = pool { "a", "b", "c", "d", balance = "hash", max_failures = 1 }
    local before, count = {}, {}
    for i = 1, 2000 do
      local host = p:log_in({}, "user" .. i)[1]
      before[i] = host
      count[host] = (count[host] or 0) + 1
    end
    for host, n in pairs(count) do assert.is_true(n > 400 and n < 600, host .. "=" .. n) end
    local victim = p:login "user1"
    assert.equal(before[1], victim:go())
    victim:fails()
    local moved = {}
    for i = 1, 2000 do
      local host = p:log_in({}, "user" .. i)[1]
      assert.not_equal(before[1], host)
      if before[i] ~= before[1] then assert.equal(before[i], host) end
      if before[i] == before[1] then moved[host] = (moved[host] or 0) + 1 end
    end
    for host, n in pairs(moved) do assert.is_true(n > 100, host .. "=" .. n) end
  end)

  it("hashes by weight, and the same on every machine", function()
    local p = pool { "a", { "b", weight = 3 }, balance = "hash" }
    local found = shares(p, 4000, function(i) return "u" .. i end)
    assert.is_true(found.a > 850 and found.a < 1150, "a=" .. found.a)
    local order = {}
    for i = 1, 12 do order[i] = p:log_in({}, "user" .. i .. "@example.org")[1] end
    assert.equal("bbbbbbabbbbb", table.concat(order))
  end)

  it("uses backups only when no other member is up", function()
    local p = pool { "a", { "spare", backup = true }, "b" }
    assert.same({ a = 3, b = 3 }, shares(p, 6))
    local tried, done = p:log_in { a = true, b = true }
    assert.same({ "a", "b", "spare" }, tried)
    assert.is_true(done)
  end)

  it("tries each member once for a login", function()
    local p = pool { "a", "b", "c", max_failures = 100 }
    local tried, done = p:log_in { a = true, b = true, c = true }
    table.sort(tried)
    assert.same({ "a", "b", "c" }, tried)
    assert.is_false(done)
  end)

  it("that is all down has the one tried that failed longest ago, and no other", function()
    local p = pool { "a", "b", "c", max_failures = 1 }
    local dead = { a = true, b = true, c = true }
    p:log_in(dead)
    local order = {}
    for i = 1, 6 do
      p.now = p.now + 0.1
      local tried, done = p:log_in(dead)
      assert.equal(1, #tried)
      assert.is_false(done)
      order[i] = tried[1]
    end
    assert.equal("a b c a b c", table.concat(order, " "))
    assert.same({ "a" }, (p:log_in {}))
    assert.equal(core.MEMBER_UP, p:facts(1).state)
  end)
end)

describe("a member", function()
  --- Seconds that it is down for.
  local function seconds(p) return p:facts(1).seconds end

  it("is down after so many failures in a row, and passed over", function()
    local p = pool { "a", "b", balance = "round_robin", max_failures = 3 }
    local login = p:login()
    for i = 1, 3 do
      assert.equal("a", login:go())
      assert.equal(i == 3, login:fails())
      login:leaves()
      if i == 2 then assert.equal(core.MEMBER_UP, p:facts(1).state) end
      p:log_in { a = false }
      login = p:login()
    end
    assert.equal(core.MEMBER_DOWN, p:facts(1).state)
    assert.equal(3, p:facts(1).failures)
    assert.same({ b = 4 }, shares(p, 4))
  end)

  it("counts failures in a row only", function()
    local p = pool { "a" }
    for _ = 1, 5 do
      p:log_in { a = true }
      p:log_in {}
    end
    assert.equal(core.MEMBER_UP, p:facts(1).state)
    assert.equal(0, p:facts(1).failures)
  end)

  it("that is down is tried by one login once its time has come", function()
    local p = pool { "a", "b", balance = "round_robin", max_failures = 1, retry = 10 }
    p:log_in { a = true }
    assert.is_true(seconds(p) >= 8 and seconds(p) <= 12)
    p.now = p.now + 12
    local trial = p:login()
    while trial:go() ~= "a" do trial = p:login() end
    assert.equal(core.MEMBER_TRIED, p:facts(1).state)
    assert.same({ b = 4 }, shares(p, 4))
    assert.is_true(trial:answers())
    assert.equal(core.MEMBER_UP, p:facts(1).state)
    local found = shares(p, 4)
    assert.is_true(found.a > 0)
  end)

  it("is down for longer with each trial that fails, to a bound", function()
    local p = pool { "a", max_failures = 1, retry = 10 }
    local expected = 10
    for _ = 1, 9 do
      p:log_in { a = true }
      assert.is_true(seconds(p) >= expected * 0.8 and seconds(p) <= expected * 1.2,
        ("%f, expected %f"):format(seconds(p), expected))
      p.now = p.now + seconds(p)
      expected = math.min(expected * 2, 300)
    end
    p:log_in {}
    p:log_in { a = true }
    assert.is_true(seconds(p) <= 12) -- it begins anew
  end)

  it("is not down at the same time as another, though they failed together", function()
    local names = {}
    for i = 1, 40 do names[i] = "m" .. i end
    names.max_failures = 1
    local p, seen = pool(names), {}
    p:log_in(setmetatable({}, { __index = function() return true end }))
    for i = 1, 40 do seen[p:facts(i).seconds] = true end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.is_true(count > 20)
  end)

  it("whose trial has no outcome is tried by the next login", function()
    local p = pool { "a", max_failures = 1, retry = 10 }
    p:log_in { a = true }
    p.now = p.now + 12
    local trial = p:login()
    trial:go()
    assert.equal(core.MEMBER_TRIED, p:facts(1).state)
    trial:leaves()
    assert.equal(core.MEMBER_DOWN, p:facts(1).state)
    assert.equal(0, seconds(p))
    trial = p:login()
    trial:go()
    assert.equal(core.MEMBER_TRIED, p:facts(1).state)
    trial:fails()
    assert.is_true(seconds(p) >= 16)
    trial:leaves()
  end)

  it("is not judged by what began before it last answered", function()
    local p = pool { "a", max_failures = 1 }
    local slow = p:login()
    slow:go()
    p.now = p.now + 5
    p:log_in {}
    assert.is_false(slow:fails())
    assert.equal(core.MEMBER_UP, p:facts(1).state)
    slow:leaves()
  end)

  it("is not down for longer because several logins failed together", function()
    local p = pool { "a", max_failures = 2, retry = 10 }
    local logins = {}
    for i = 1, 20 do
      logins[i] = p:login()
      logins[i]:go()
    end
    assert.equal(20, tonumber(p:facts(1).sessions))
    for _, login in ipairs(logins) do login:fails() end
    assert.is_true(seconds(p) <= 12)
    assert.equal(20, p:facts(1).failures)
    for _, login in ipairs(logins) do login:leaves() end
    assert.equal(0, tonumber(p:facts(1).sessions))
  end)
end)

describe("the pools of a worker", function()
  --- What pools_each tells, by pool and address.
  local function list(pools)
    local rows = {}
    local each = ffi.cast("void (*)(void *, const struct member_facts *)", function(_, facts)
      rows[support.text(facts.pool) .. " " .. ffi.string(facts.address)] = {
        state = tonumber(facts.state), sessions = tonumber(facts.sessions),
        failures = facts.failures, retired = facts.retired }
    end)
    core.pools_each(pools, 1000, each, nil)
    each:free()
    return rows
  end

  local function make_current(p)
    core.pools_forget_listed(p.pools)
    for i = 0, p.size - 1 do core.member_list(p.real.members[i].member) end
  end

  it("keep a member's health when the next configuration has it too", function()
    local pools, held = worker()
    local old = configure(pools, held, { "a", "b", max_failures = 1 })
    old:log_in { a = true }
    local new = configure(pools, held, { "a", "c", max_failures = 1 })
    assert.equal(core.MEMBER_DOWN, new:facts(1).state)
    assert.equal("c", new:log_in({})[1])
  end)

  it("forget a member that went when its last session has left", function()
    local pools, held = worker()
    local old = configure(pools, held, { "a", "b", max_failures = 1 })
    make_current(old)
    local at_a, at_b = old:login(), old:login()
    assert.equal("a", at_a:go())
    assert.equal("b", at_b:go())
    make_current(configure(pools, held, { "b" }))
    table.remove(held, 1)
    core.member_unref(old.members[0].member)
    core.member_unref(old.members[1].member)
    assert.same({
      ["imap a:143"] = { state = 0, sessions = 1, failures = 0, retired = true },
      ["imap b:143"] = { state = 0, sessions = 1, failures = 0, retired = false },
    }, list(pools))
    at_a:leaves()
    at_b:leaves()
    assert.same({
      ["imap b:143"] = { state = 0, sessions = 0, failures = 0, retired = false },
    }, list(pools))
  end)

  it("tell members of an old configuration that nobody uses from those of the current", function()
    local pools, held = worker()
    make_current(configure(pools, held, { "a", "b" }))
    make_current(configure(pools, held, { "b" }))
    assert.is_nil(list(pools)["imap a:143"])
  end)

  it("know upstreams of no pool while they are used, or have failed", function()
    local pools = worker()
    local limits = ffi.new("struct member_limits", { 2, 10 })
    local function visit(host, fails)
      local v = ffi.new "struct visit"
      local m = core.pools_take(pools, place("", host, 143))
      core.visit_begin(v, m, 1000)
      core.member_unref(m)
      if fails then core.visit_failed(v, limits, 1000) end
      return v
    end
    local v = visit "2001:db8::1"
    assert.same({ [" [2001:db8::1]:143"] = { state = 0, sessions = 1, failures = 0,
      retired = false } }, list(pools))
    core.visit_end(v)
    assert.same({}, list(pools))
    core.visit_end(visit("bad", true))
    core.visit_end(visit("bad", true))
    assert.same({ [" bad:143"] = { state = 1, sessions = 0, failures = 2, retired = false } },
      list(pools))
    for i = 1, 3000 do core.visit_end(visit("host" .. i, true)) end
    local count = 0
    for _ in pairs(list(pools)) do count = count + 1 end
    assert.equal(1024, count)
    v = visit "bad" -- whether it was remembered or not
    core.visit_succeeded(v, 1001)
    core.visit_end(v)
    assert.is_nil(list(pools)[" bad:143"])
  end)

  it("end after whoever still refers to a member", function()
    local pools = core.pools_new()
    local first = core.pools_take(pools, place("imap", "a", 143))
    local second = core.pools_take(pools, place("imap", "b", 143))
    local v, facts = ffi.new "struct visit", ffi.new "struct member_facts"
    core.visit_begin(v, first, 1)
    core.member_unref(first)
    core.pools_free(pools)
    core.member_unref(second)
    core.member_facts(first, 1, facts)
    assert.equal("a:143", ffi.string(facts.address))
    core.visit_end(v) -- and with it all that there was
  end)

  it("tell of an address what all pools know of it", function()
    local pools, held = worker()
    local facts = ffi.new "struct member_facts"
    local first = configure(pools, held, { "a", "b", max_failures = 1 })
    local second = configure(pools, held, { "a", name = "pop3" })
    local login = second:login()
    login:go()
    first:log_in { a = true }
    assert.is_true(core.pools_find(pools, place("", "a", 143), 1000, facts))
    assert.same({ core.MEMBER_DOWN, 1, 1 },
      { tonumber(facts.state), tonumber(facts.sessions), facts.failures })
    assert.is_true(core.pools_find(pools, place("", "a"), 1000, facts))
    assert.equal(core.MEMBER_DOWN, tonumber(facts.state))
    assert.is_true(core.pools_find(pools, place("pop3", "a", 143), 1000, facts))
    assert.equal(core.MEMBER_UP, tonumber(facts.state))
    assert.is_false(core.pools_find(pools, place("", "a", 110), 1000, facts))
    assert.is_false(core.pools_find(pools, place("", "z", 143), 1000, facts))
    login:leaves()
  end)
end)
