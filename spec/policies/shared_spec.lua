--- moongate.shared as policies see it: arguments, results, mistakes.
local moongate = require "moongate"
local secret = require "moongate.secret"
local shared = require "moongate.shared"
local spec = require "moongate.spec"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  shared = { %s },
  c.listen "spec" { protocol = "imap", policy = "shares", address = "127.0.0.1:0" },
}
]]

local function gateway(policy, tables)
  return spec.open {
    config = CONFIG:format(tables or 'limits = "1m", seen = "2m"'),
    files = { ["scripts/shares.lua"] = policy },
  }
end

describe("moongate.shared", function()
  local names, d = 0, nil
  before_each(function()
    names = names + 1
    d = shared.get("table" .. names)
  end)

  it("keeps strings, numbers and booleans as they are", function()
    for _, value in ipairs { "", "text", "a\0b", 0, -1.5, 2 ^ 53, math.huge, true, false } do
      assert.is_true(d:set("key", value))
      assert.equal(value, d:get "key")
    end
    assert.is_true(d:delete "key")
    assert.is_false(d:delete "key")
    assert.same({ n = 1 }, { n = select("#", d:get "key"), d:get "key" })
  end)

  it("is the same table for all that get it by its name", function()
    d:set("key", 1)
    assert.equal(1, shared.get("table" .. names):get "key")
    assert.is_nil(shared.get "another":get "key")
  end)

  it("adds up from where it is told to begin", function()
    assert.equal(1, d:incr "n")
    assert.equal(3.5, d:incr("n", 2.5))
    assert.equal(105, d:incr("m", 5, 100))
    assert.equal(104, d:incr("m", -1, 1000))
    assert.is_true(d:add("word", "x"))
    assert.is_false(d:add("word", "y"))
    local sum, err = d:incr "word"
    assert.is_nil(sum)
    assert.equal("protocol", err.kind)
    assert.matches("no number", tostring(err))
  end)

  it("tells how long a value still lives", function()
    assert.is_nil(d:ttl "key")
    d:set("key", 1)
    assert.equal(math.huge, d:ttl "key")
    d:set("key", 1, 1000)
    local left = d:ttl "key"
    assert.is_true(left > 900 and left <= 1000)
    d:incr("key", 1, 0, 5)
    assert.is_true(d:ttl "key" > 900)
    d:set("key", 1, 0.001)
    spec.run(function() moongate.sleep(0.01) end)
    assert.is_nil(d:ttl "key")
    assert.is_nil(d:get "key")
    assert.is_true(d:add("key", 2))
  end)

  it("keeps no secret, under whatever name", function()
    local password = secret.of "hidden"
    for _, call in ipairs {
      function() d:set("key", password) end,
      function() d:add("key", password) end,
      function() d:set(password, 1) end,
      function() d:get(password) end,
      function() d:incr(password) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("a Secret is n", message)
      assert.not_matches("hidden", message)
    end
  end)

  it("raises for wrong arguments", function()
    local wrong = {
      ["1 to 8192 bytes"] = { function() d:get "" end, function() d:get(("k"):rep(8193)) end,
        function() d:lease("", 1) end },
      ["string expected"] = { function() d:get {} end, function() d:set(nil, 1) end },
      ["a string, a number or a boolean"] = { function() d:set("k") end,
        function() d:set("k", {}) end, function() d:add("k", print) end },
      ["0.001 to 1e9"] = { function() d:set("k", 1, 0) end, function() d:set("k", 1, -1) end,
        function() d:add("k", 1, 0 / 0) end, function() d:incr("k", 1, 0, math.huge) end },
      ["a finite number"] = { function() d:incr("k", 0 / 0) end,
        function() d:incr("k", 1, math.huge) end },
      ["a name of 1 to 63"] = { function() shared.get "" end,
        function() shared.get(("n"):rep(64)) end },
      ["moongate.session expected"] = { function() d:lease("k", 1) end },
    }
    for message, calls in pairs(wrong) do
      for i, call in ipairs(calls) do
        local ok, said = pcall(call)
        assert.is_false(ok, message .. i)
        assert.matches(message, said)
      end
    end
    assert.is_nil(d:get "k")
  end)

  it("gives the reason where a value is too long", function()
    local ok, err = d:set("key", ("v"):rep(16385))
    assert.is_nil(ok)
    assert.equal("overload", err.kind)
    assert.matches("16384 bytes", tostring(err))
  end)
end)

describe("a policy that shares", function()
  it("must name a table of the configuration", function()
    for text, message in pairs {
      ['"limts"'] = 'has no "limts" %(did you mean "limits"%?%)',
      ['"other"'] = 'has no "other"',
    } do
      local g, errors = gateway(
        'local d = require "moongate.shared".get(' .. text .. ")\nreturn { init = d }")
      assert.is_nil(g)
      assert.matches("^scripts/shares.lua:1: shared.get: .*" .. message, errors)
    end
  end)

  it("finds what it kept in the hooks before", function()
    local g = assert(gateway [[
      local moongate = require "moongate"
      local d = require "moongate.shared".get "seen"
      d:set("top", "level")
      return { auth = function(session, credentials)
        return moongate.reject { text = d:incr(credentials.user) .. " " .. d:get "top" }
      end }]])
    local session = g:session {}
    assert.equal("1 level", session:login("ann", "x").text)
    assert.equal("2 level", session:login("ann", "x").text)
    assert.equal("1 level", g:session {}:login("bob", "x").text)
  end)

  it("is tested in the time of the spec, and over its reloads", function()
    local text = [[
      local moongate = require "moongate"
      local d = require "moongate.shared".get "seen"
      return { auth = function(session, credentials)
        return moongate.reject { text = "%s " .. d:incr(credentials.user, 1, 0, 3600) }
      end }]]
    local g = assert(gateway(text:format "old"))
    assert.equal("old 1", g:session {}:login("ann", "x").text)
    g.clock:advance(3599)
    assert.equal("old 2", g:session {}:login("ann", "x").text)
    assert.is_true(g:reload { ["scripts/shares.lua"] = text:format "new" })
    assert.equal("new 3", g:session {}:login("ann", "x").text)
    g.clock:advance(1)
    assert.equal("new 1", g:session {}:login("ann", "x").text)
  end)

  it("leases a place for a session, once, until it is given back or the session ends", function()
    local g = assert(gateway [[
      local moongate = require "moongate"
      local d = require "moongate.shared".get "seen"
      local function answer(...)
        return moongate.reject { text = table.concat({ ... }, " ") }
      end
      return {
        auth = function(session, credentials)
          if credentials.user == "back" then
            return answer(tostring(d:give_back("key", session)), d:leased "key")
          end
          return answer(tostring(d:lease("key", 2, session)), d:leased "key")
        end,
        closed = function(session) d:lease("key", 2, session) end,
      }]])
    local one, two, three = g:session {}, g:session {}, g:session {}
    assert.equal("true 1", one:login("take", "x").text)
    assert.equal("true 1", one:login("take", "x").text)
    assert.equal("true 2", two:login("take", "x").text)
    assert.equal("false 2", three:login("take", "x").text)
    assert.equal("false 2", three:login("back", "x").text)
    assert.equal("true 1", two:login("back", "x").text)
    assert.equal("false 1", two:login("back", "x").text)
    assert.equal("true 2", three:login("take", "x").text)
    spec.logged()
    three:closed()
    assert.matches("a session that is not over expected", spec.logged())
    one, two, three = nil, nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("true 1", g:session {}:login("take", "x").text)
  end)
end)

describe("the configuration of shared tables", function()
  for tables, message in pairs {
    ['limits = "many"'] = 'moongate.lua:3: shared.limits.store: a size such as "8m", or redis://, '
      .. 'rediss:// or unix:/path expected, not "many"',
    ['limits = "8k"'] = "moongate.lua:3: shared.limits.store: at least 1048576 expected",
    ['limits = "http://x"'] = "moongate.lua:3: shared.limits.store: url: redis",
    ['limits = "redis://"'] = "shared.limits.store: url: redis",
    ['limits = { store = "redis://", sentinel = { addresses = "y" } }'] =
      'shared.limits.sentinel: "name" is missing',
    ['limits = { password = "x" }'] = 'shared.limits: "store" is missing',
    ['limits = { store = "1m", password = "x" }'] =
      "shared.limits.password: only for a table in Redis",
    ['limits = { store = "redis://x", user = "x" }'] = "shared.limits.user: it needs a `password`",
    ['limits = { store = "redis://x", pasword = "x" }'] = 'did you mean "password"',
    ['limits = "rediss://x"'] = 'shared.limits.profile: `tls_profiles` has no "default"',
    ['limits = { store = "redis://x", profile = "own" }'] =
      'shared.limits.profile: `tls_profiles` has no "own"',
    ['limits = "1000g"'] = "shared.limits.store: at most",
    ['["a b"] = "1m"'] = "a name of letters, digits, _ and %- expected",
    ['[("n"):rep(64)] = "1m"'] = "the name is longer than 63 bytes",
    ['"1m"'] = "names expected as keys",
  } do
    it("refuses { " .. tables:sub(1, 30) .. " }", function()
      local g, errors = gateway("return {}", tables)
      assert.is_nil(g)
      assert.matches(message, errors)
    end)
  end

  it("of one in Redis is not reached in a spec, whose table is its own", function()
    local g = assert(gateway([[
      local moongate = require "moongate"
      local d = require "moongate.shared".get "far"
      return { auth = function() return moongate.reject { text = tostring(d:incr "n") } end }]],
      'far = "redis://127.0.0.1:1"'))
    assert.equal("1", g:session {}:login("ann", "x").text)
    assert.equal("2", g:session {}:login("ann", "x").text)
  end)

  it("takes no more than 32", function()
    local all = {}
    for i = 1, 33 do all[i] = ('t%d = "1m"'):format(i) end
    local _, errors = gateway("return {}", table.concat(all, ", "))
    assert.matches("shared: at most 32 tables", errors)
  end)
end)
