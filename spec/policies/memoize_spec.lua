--- moongate.memoize: what a function has found out is asked once.
local spec = require "moongate.spec"

local HEAD = [[
local moongate = require "moongate"
local P, asked, answer = {}, 0, "first"
local function say(text, ...)
  return moongate.reject { reason = tostring(text):format(...) }
end
local function look(...)
  asked = asked + 1
  moongate.sleep(1)
  if answer == "error" then error "broken" end
  if answer == "failure" then return nil, "down" end
  if answer == "none" then return nil end
  if answer == "false" then return false end
  return answer .. select("#", ...)
end
local memo = moongate.memoize(look, %s)
function P.helo() return say("%%d", asked) end
]]

local function gateway(body, options, more)
  local text = HEAD:format(options or "{ name = \"look\", ttl = 60, negative_ttl = 5 }")
    .. "function P.auth(session, credentials) " .. body .. " end\nreturn P, say, memo"
  local given = { "p", files = { ["scripts/p.lua"] = text }, listener = "upstream = \"10.0.0.1\"" }
  for k, v in pairs(more or {}) do given[k] = v end
  return spec.policy(given)
end

local function said(gw, user)
  local decision = gw:session():login(user or "alice", "secret")
  return decision.kind == "reject" and decision.reason or decision.kind
end

before_each(function() spec.logged() end)

describe("a memoized function", function()
  it("is asked once while its result lives", function()
    local gw = gateway [[return say("%s %d", memo(credentials.user), asked)]]
    assert.equal("first1 1", said(gw))
    assert.equal("first1 1", said(gw))
    assert.equal("first1 2", said(gw, "bob"))
    assert.equal(2, gw.clock.now)
    gw.clock:advance(58)
    assert.equal("first1 2", said(gw))
    gw.clock:advance(2)
    assert.equal("first1 3", said(gw))
  end)

  it("asks once for a thousand that come at the same time", function()
    local gw = gateway [[
      for _ = 1, 1000 do assert(moongate.detach(memo, "many")) end
      return say("%d", asked)]]
    assert.equal("0", said(gw))
    gw.clock:advance(0.5)
    assert.decision(gw:session { helo = "x" }:ask "helo").is_reject { reason = "1" }
    gw.clock:advance(5)
    assert.decision(gw:session { helo = "x" }:ask "helo").is_reject { reason = "1" }
  end)

  it("takes apart arguments that look alike", function()
    local gw = gateway [[
      local calls = {
        { "a" }, { "a", "b" }, { "ab" }, { "a", nil }, { "1" }, { 1 }, { true }, { "true" },
        { credentials.password }, { "secret" }, { 1.5 }, {}, { "" }, { nil, "a" }, { "a", "" },
      }
      local counts = { 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 0, 1, 2, 2 }
      for round = 1, 2 do
        local children = {}
        for i, call in ipairs(calls) do
          children[i] = moongate.spawn(memo, unpack(call, 1, counts[i]))
        end
        for _, child in ipairs(children) do child:wait() end
      end
      return say("%d", asked)]]
    assert.equal("15", said(gw))
  end)

  it("refuses other arguments", function()
    local gw = gateway [[
      local _, one = pcall(memo, {})
      local _, two = pcall(memo, session)
      local _, three = pcall(memo, ("x"):rep(200000))
      return say("%s%s%s%d", one:match "can be arguments" and "1", two:match "can be" and "2",
        three:match "can be" and "3", asked)]]
    assert.equal("1230", said(gw))
  end)

  it("keeps no failure and no error, and tells all who wait", function()
    local gw = gateway [[
      answer = credentials.user
      local all, texts = {}, {}
      for i = 1, 3 do all[i] = moongate.spawn(function() return pcall(memo, "x") end) end
      for i = 1, 3 do
        local ok, value, err = all[i]:wait()
        texts[i] = tostring(ok) .. tostring(err or value):match "%w+$"
      end
      return say("%s %d", table.concat(texts, " "), asked)]]
    assert.equal("truedown truedown truedown 1", said(gw, "failure"))
    assert.equal("truedown truedown truedown 2", said(gw, "failure"))
    assert.equal("falsebroken falsebroken falsebroken 3", said(gw, "error"))
    assert.equal("truefine1 truefine1 truefine1 4", said(gw, "fine"))
    assert.equal("truefine1 truefine1 truefine1 4", said(gw, "failure"))
  end)

  it("keeps nil and false for another time", function()
    for _, name in ipairs { "none", "false" } do
      local gw = gateway [[
        answer = credentials.user
        return say("%s %d", memo "x", asked)]]
      local result = name == "none" and "nil" or "false"
      assert.equal(result .. " 1", said(gw, name))
      gw.clock:advance(4)
      assert.equal(result .. " 1", said(gw, name))
      gw.clock:advance(1.1)
      assert.equal(result .. " 2", said(gw, name))
    end
    local gw = gateway([[
      answer = credentials.user
      return say("%s %d", memo "x", asked)]], "{ name = 'look', ttl = 60 }")
    assert.equal("nil 1", said(gw, "none"))
    assert.equal("nil 2", said(gw, "none"))
  end)

  it("gives each caller a value of its own", function()
    local gw = gateway [[
      local get = moongate.memoize(function() return { list = { 1, 2 }, on = true } end,
        { name = "table", ttl = 60 })
      local a = get()
      a.list[3] = "changed"
      local b = get()
      return say("%d %s %s", #b.list, b.on, a ~= b)]]
    assert.equal("2 true true", said(gw))
  end)

  it("can't keep what is no plain data", function()
    local gw = gateway [[
      local get = moongate.memoize(function(name)
        return name == "function" and { say } or credentials.password
      end, { name = "secret", ttl = 60 })
      local _, one = pcall(get, "function")
      local _, two = pcall(get, "secret")
      return say("%s %s", type(one), type(two))]]
    assert.equal("string string", said(gw))
  end)

  it("forgets what was used longest ago", function()
    local gw = gateway([[
      memo "a" memo "b" memo "a" memo "c"
      local before = asked
      memo "a" memo "c"
      local same = asked
      memo "b"
      return say("%d %d %d", before, same, asked)]], "{ name = 'look', ttl = 60, capacity = 2 }")
    assert.equal("3 3 4", said(gw))
  end)

  it("goes on when who asked has gone", function()
    local gw = gateway [[
      if credentials.user == "gone" then
        moongate.spawn(memo, "x")
        moongate.sleep(0.5)
        error "gone"
      end
      local child = moongate.spawn(function()
        local first = moongate.spawn(memo, "x")
        return first:wait()
      end)
      return say("%s %d", child:wait(), asked)]]
    assert.equal("tempfail", said(gw, "gone"))
    assert.equal("first1 2", said(gw))
  end)
end)

describe("a purge", function()
  it("forgets one call, all of a first argument, or everything", function()
    local gw = gateway [[
      local function ask()
        local before, all = asked, {}
        for _, call in ipairs { { "a", "x" }, { "a", "y" }, { "b", "x" }, { "a" } } do
          table.insert(all, moongate.spawn(memo, unpack(call)))
        end
        for _, one in ipairs(all) do one:wait() end
        return asked - before
      end
      local counts = { ask(), ask() }
      memo:purge("a", "x")
      table.insert(counts, ask())
      memo:purge "a"
      table.insert(counts, ask())
      memo:purge_all()
      table.insert(counts, ask())
      assert(moongate.purge("look", "a"))
      table.insert(counts, ask())
      assert(moongate.purge "look")
      table.insert(counts, ask())
      moongate.purge("other", "a")
      table.insert(counts, ask())
      return say(table.concat(counts, " "))]]
    assert.equal("4 0 1 3 4 3 4 0", said(gw))
  end)

  it("makes an answer that is on its way too old to be kept or shared", function()
    local gw = gateway [[
      local old = moongate.spawn(memo, "x")
      moongate.sleep(0.5)
      memo:purge "x"
      answer = "second"
      local new = moongate.spawn(memo, "x")
      local first = old:wait()
      return say("%s %s %s %d", first, new:wait(), memo "x", asked)]]
    assert.equal("second1 second1 second1 2", said(gw))
  end)
end)

describe("a reload", function()
  local BODY = [[return say("%s %d", memo(credentials.user), asked)]]

  it("begins anew", function()
    local gw = gateway(BODY)
    assert.equal("first1 1", said(gw))
    gw:reload {}
    assert.equal("first1 1", said(gw))
  end)

  it("leaves what persists", function()
    local gw = gateway(BODY, "{ name = 'look', ttl = 60, persist = true }")
    assert.equal("first1 1", said(gw))
    gw:reload {}
    assert.equal("first1 0", said(gw))
    gw.clock:advance(60)
    assert.equal("first1 1", said(gw))
  end)
end)

describe("memoize", function()
  it("refuses options that make no sense", function()
    for options, text in pairs {
      ["{ ttl = 1 }"] = "a name is needed", ["{ name = 'x' }"] = "ttl is needed",
      ["{ name = 'x', ttl = 0 }"] = "ttl: a number from", ["5"] = "a table of options",
      ["{ name = 'x', ttl = 1, tll = 2 }"] = "unknown field \"tll\"",
      ["{ name = 'x', ttl = 1, capacity = 0 }"] = "capacity: a number from",
      ["{ name = '', ttl = 1 }"] = "1 to 63 bytes",
    } do
      local ok, err = pcall(gateway, "return say(1)", options)
      assert.is_false(ok)
      assert.matches(text, tostring(err), 1, true)
    end
  end)
end)
