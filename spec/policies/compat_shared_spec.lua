--- ngx.shared: what OpenResty documents, on a table of this machine and on one in Redis.
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local redis = require "spec.support.redis"

--- What each body returns for either table; `d` is the table.
local RESULTS = {
  { "values", [[
    for _, value in ipairs { "", "text", "a\0b", 1.5, true, false } do
      local ok, err, forced = d:set("v", value)
      assert(ok == true and err == nil and forced == false)
      assert(d:get "v" == value)
    end
    assert(d:set("v", nil) == true)
    return d:get "v"]], "nil" },
  { "flags", [[
    d:set("f", "x", 0, 7)
    local value, flags = d:get "f"
    local same, stale_flags, stale = d:get_stale "f"
    d:set("f", 1, 100, 9)
    local sum = d:incr("f", 1)
    local _, kept = d:get "f"
    assert(select(2, d:get "nobody") == nil and d:set("f", 1) and select(2, d:get "f") == nil)
    return value .. flags .. same .. stale_flags .. tostring(stale), sum .. kept]],
    "x7x7false | 29" },
  { "kinds_with_flags", [[
    for _, value in ipairs { "f7:x", -2.5, true, false } do
      d:set("kind", value, 0, 2 ^ 32 - 1)
      local got, flags = d:get "kind"
      assert(got == value and flags == 2 ^ 32 - 1, tostring(value))
    end
    d:set("kind", "f7:x")
    return d:get "kind"]], "f7:x" },
  { "seen_by_ours", [[
    d:set("ours", 5, 0, 3)
    return own:get "ours", own:incr("ours", 2)]], "5 | 7" },
  { "conditions", [[
    d:delete "c"
    local words = {}
    local function note(ok, err, forced)
      words[#words + 1] = tostring(ok) .. (err or "") .. tostring(forced)
    end
    note(d:replace("c", 1))
    note(d:add("c", 2, 100, 5))
    note(d:add("c", 3))
    note(d:safe_add("c", 3))
    note(d:replace("c", 4))
    note(d:safe_set("c", 6))
    return table.concat(words, " "), d:get "c"]],
    "falsenot foundfalse truefalse falseexistsfalse falseexistsfalse truefalse truefalse | 6" },
  { "delete", [[d:set("gone", 1) return tostring(d:delete "gone") .. tostring(d:delete "gone")]],
    "truetrue" },
  { "incr", [[
    d:delete "n"
    local sum, err = d:incr("n", 1)
    assert(sum == nil)
    local first, problem, forced = d:incr("n", 2, 5, 100)
    assert(first == 7 and problem == nil and forced == false)
    assert(d:ttl "n" > 90 and d:incr("n", "1") == 8)
    d:set("n", "word")
    return err, select(2, d:incr("n", 1))]], "not found | not a number" },
  { "ttl", [[
    d:set("ever", 1)
    d:set("soon", 1, 1000)
    local left = d:ttl "soon"
    assert(d:expire("ever", 500) == true and d:expire("soon", 0) == true)
    local later = d:ttl "ever"
    assert(left > 900 and left <= 1000 and later > 400 and later <= 500 and d:ttl "soon" == 0)
    return select(2, d:ttl "nobody"), select(2, d:expire("nobody", 1))]], "not found | not found" },
  { "expire_keeps", [[
    d:set("kept", "x", 1, 4)
    d:expire("kept", 100)
    return d:get "kept"]], "x | 4" },
  { "over", [[
    d:set("short", 1, 0.001)
    ngx.sleep(0.01)
    return d:get "short", d:add("short", 2)]], "nil | true" },
  { "lists", [[
    d:delete "l"
    local counts = { d:rpush("l", "b"), d:rpush("l", 2.5), d:lpush("l", "a\0"), d:llen "l" }
    local values = { d:rpop "l", d:lpop "l", d:lpop "l" }
    assert(type(values[1]) == "number" and values[2] == "a\0" and d:llen "l" == 0)
    assert(d:lpop "l" == nil and select("#", d:rpop "l") == 1)
    return table.concat(counts), values[1] .. values[3] ]], "1233 | 2.5b" },
  { "no_list", [[
    d:set("v", 1)
    local words = {}
    for _, name in ipairs { "lpush", "rpush", "lpop", "rpop", "llen" } do
      local value, err = d[name](d, "v", "x")
      assert(value == nil)
      words[#words + 1] = err
    end
    d:delete "l"
    d:lpush("l", 1)
    local value, err = d:get "l"
    local sum, other = d:incr("l", 1)
    assert(value == nil and sum == nil and d:get_stale "l" == nil)
    assert(select(2, d:add("l", 1)) == "exists")
    return table.concat(words, ","), err .. " " .. other]],
    "value not a list,value not a list,value not a list,value not a list,value not a list"
      .. " | value is a list not a number" },
  { "list_over", [[
    d:delete "l"
    d:rpush("l", 1)
    assert(d:expire("l", 100) and d:ttl "l" > 90)
    d:rpush("l", 2)
    assert(d:ttl "l" > 90)
    return d:set("l", "x"), d:get "l"]], "true | x" },
  { "bad_keys", [[
    local words = {}
    for _, key in ipairs { false, "", ("k"):rep(8193) } do
      if key == false then key = nil end
      for _, name in ipairs { "get", "get_stale", "set", "safe_set", "add", "replace", "delete",
        "incr", "ttl", "expire", "lpush", "lpop", "llen" } do
        local value, err = d[name](d, key, 1)
        assert(value == nil, name)
        if words[#words] ~= err then words[#words + 1] = err end
      end
    end
    assert(d:set(5, "five") and d:get "5" == "five")
    return table.concat(words, ", ")]], "nil key, empty key, key too long" },
  { "bad_values", [[
    local first, second = select(2, d:set("k", {})), select(2, d:lpush("k", true))
    return first, second]], "bad value type | bad value type" },
  { "too_long", [[
    local ok, err = d:set("k", ("x"):rep(65537))
    return tostring(ok), err]], "false | no memory" },
}

--- These leave nothing behind, so that they can be asked in any order.
local ALL = {
  { "keys", [[
    d:flush_all()
    for i = 1, 1500 do d:set("key" .. i, i) end
    d:rpush("a list", 1)
    local seen, all = {}, d:get_keys(0)
    for _, key in ipairs(all) do seen[key] = true end
    assert(seen["a list"] and seen.key1 and seen.key1500)
    return #d:get_keys() .. " " .. #d:get_keys(3), #all]], "1024 3 | 1501" },
  { "flushed", [[
    d:set("a", 1)
    own:lease("place", 9, session)
    assert(d:flush_all())
    return #d:get_keys(0) .. tostring(d:get "a"), own:leased "place"]], "0nil | 1" },
  { "odd_keys", [[
    d:flush_all()
    d:set("a*b?[c]\\d", 1)
    return d:get_keys()[1], #d:get_keys()]], "a*b?[c]\\d | 1" },
}

--- Mistakes raise, at the line of the policy.
local WRONG = {
  { "secret_key", [[d:get(credentials.password)]], "a Secret is no key" },
  { "secret_value", [[d:set("k", credentials.password)]], "a Secret is not kept" },
  { "secret_element", [[d:lpush("k", credentials.password)]], "a Secret is not kept" },
  { "negative", [[d:set("k", 1, -1)]], 'bad "exptime" argument' },
  { "no_seconds", [[d:expire("k")]], 'bad "exptime" argument' },
  { "bad_flags", [[d:set("k", 1, 0, -1)]], 'bad "flags" argument' },
  { "bad_by", [[d:incr("k", "x")]], 'bad "value" argument' },
  { "no_init", [[d:incr("k", 1, nil, 5)]], 'must provide "init"' },
  { "bad_most", [[d:get_keys "all"]], "a number expected" },
}

local BODIES = {
  stale = [[
    local d = ngx.shared.here
    d:set("s", "old", 0.001, 3)
    ngx.sleep(0.01)
    d:set("other", 1)
    local value, flags, stale = d:get_stale "s"
    return tostring(d:get "s") .. value .. flags .. tostring(stale), select(2, d:ttl "s")]],
  swept = [[
    local d = ngx.shared.here
    d:flush_all()
    for i = 1, 5 do d:set("over" .. i, i, 0.001) end
    ngx.sleep(0.01)
    return d:flush_expired(2) .. d:flush_expired(), tostring(d:get_stale "over5")]],
  room = [[
    local d = ngx.shared.here
    d:flush_all()
    local before = d:free_space()
    d:set("k", ("x"):rep(16384))
    assert(d:capacity() == 1048576 and d:free_space() < before and before < d:capacity())
    local text, safe, why = ("x"):rep(10000)
    for i = 1, 200 do
      safe, why = d:safe_set("safe" .. i, text)
      if not safe then break end
    end
    local ok, _, forced = d:set("more", text)
    d:flush_all()
    return why, tostring(ok) .. tostring(forced)]],
  long_list = [[
    local d = ngx.shared.here
    local count, err = 0
    while true do
      count, err = d:rpush("long", ("x"):rep(1000))
      if not count then break end
    end
    return d:llen "long", err]],
  list_of_all = [[
    local d = ngx.shared.there
    d:delete "long"
    for _ = 1, 100 do d:rpush("long", ("x"):rep(1000)) end
    return d:llen "long", #d:rpop "long"]],
  nothing_stale = [[
    local d = ngx.shared.there
    d:set("s", "old", 0.001)
    ngx.sleep(0.01)
    return d:get_stale "s", d:flush_expired()]],
  no_size = [[return ngx.shared.there:capacity()]],
  no_free = [[return ngx.shared.there:free_space()]],
}

for _, list in ipairs { RESULTS, ALL, WRONG } do
  for _, one in ipairs(list) do
    for _, where in ipairs { "here", "there" } do
      BODIES[where .. "_" .. one[1]] = ('local d, own = ngx.shared.%s, %s\n%s')
        :format(where, where, one[2])
    end
  end
end

local TOP = [[
local ngx = require "moongate.compat.ngx"
local shared = require "moongate.shared"
local here, there = shared.get "here", shared.get "there"
]]

describe("ngx.shared", function()
  local server, run

  setup(function()
    server = redis.start()
    run = modules.start { top = TOP, bodies = BODIES, configuration = ([[
      shared = { here = "1m", there = "%s" },]]):format(server.url) }
  end)
  after_each(function() client.discard_all() end)
  teardown(function()
    run.stop()
    server:stop()
  end)

  for _, list in ipairs { RESULTS, ALL } do
    for _, one in ipairs(list) do
      it("has the same results in memory and in Redis: " .. one[1], function()
        assert.equal(one[3], run("here_" .. one[1]))
        assert.equal(one[3], run("there_" .. one[1]))
      end)
    end
  end

  for _, one in ipairs(WRONG) do
    it("raises where a call is a mistake: " .. one[1], function()
      for _, where in ipairs { "here_", "there_" } do
        local text = run(where .. one[1])
        assert.matches("^ERROR: .*/policy%.lua:%d+: ", text)
        assert.truthy(text:find(one[3], 1, true), text)
      end
    end)
  end

  it("shows what is over in memory until that is needed; Redis has removed it", function()
    assert.equal("nilold3true | not found", run "stale")
    assert.equal("23 | nil", run "swept")
    assert.equal("nil | 0", run "nothing_stale")
  end)

  it("tells the room that a table in memory has; one in Redis has none of its own", function()
    assert.equal("no memory | truetrue", run "room")
    assert.matches("policy.lua:%d+: capacity: ngx.shared.there is in Redis", run "no_size")
    assert.matches("policy.lua:%d+: free_space: ngx.shared.there is in Redis", run "no_free")
  end)

  it("bounds a list in memory as it does a value", function()
    assert.equal("16 | no memory", run "long_list")
    assert.equal("100 | 1000", run "list_of_all")
  end)
end)
