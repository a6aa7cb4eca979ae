--- The same calls on a table of this machine and on one in Redis have the same results.
local ca = require "spec.support.ca"
local modules = require "spec.support.modules"
local redis = require "spec.support.redis"
local signal = require "posix.signal"

--- What each body returns for either table; `d` is the table.
local RESULTS = {
  { "missing", [[return d:get "nobody"]], "nil" },
  { "kinds", [[
    for _, value in ipairs { "", "text", "a\0b\r\n", "n1", 0, -1.5, 2 ^ 53, true, false } do
      assert(d:set("kind", value) == true)
      local got = d:get "kind"
      assert(got == value and type(got) == type(value), tostring(value))
    end
    return "all"]], "all" },
  { "delete", [[
    d:set("gone", 1)
    return tostring(d:delete "gone") .. tostring(d:delete "gone"), d:get "gone"]], "truefalse" },
  { "add", [[
    d:delete "added"
    return tostring(d:add("added", "x")) .. tostring(d:add("added", "y")), d:get "added"]],
    "truefalse | x" },
  { "incr", [[
    d:delete "n"
    d:delete "m"
    local sums = { d:incr "n", d:incr("n", 2.5), d:incr("m", 5, 100), d:incr("m", -1, 1000) }
    return table.concat(sums, " "), type(d:get "n") ]], "1 3.5 105 104 | number" },
  { "no_number", [[
    d:set("word", "x")
    local sum, err = d:incr "word"
    local taken, other = d:take("word", 1)
    return tostring(sum) .. " " .. err.kind .. " " .. tostring(taken), other.kind]],
    "nil protocol nil | protocol" },
  { "ttl", [[
    d:set("ever", 1)
    d:set("soon", 1, 1000)
    d:incr("soon", 1, 0, 5)
    d:delete "new"
    d:incr("new", 1, 0, 100)
    local left, new = d:ttl "soon", d:ttl "new"
    return tostring(d:ttl "nobody") .. tostring(d:ttl "ever"),
      left > 900 and left <= 1000 and new > 90 and new <= 100]], "nilinf | true" },
  { "bucket", [[
    d:delete "b"
    local words = {}
    for i = 1, 4 do
      local ok, wait = d:take("b", 0.001, 3)
      words[i] = ok and "yes" or tostring(wait > 900 and wait <= 1000)
    end
    return table.concat(words, " ")]], "yes yes yes true" },
  { "bucket_again", [[
    d:delete "quick"
    assert(d:take("quick", 1000) == true)
    moongate.sleep(0.01)
    return d:take("quick", 1000)]], "true" },
  { "keys", [[
    local long = ("k"):rep(8192)
    d:set(long, 1)
    d:set("a\0b", 2)
    d:set("a\0c", 3)
    return d:get(long) .. d:get "a\0b" .. d:get "a\0c"]], "123" },
  { "places", [[
    assert(d:lease("p", 1, session) == true and d:lease("p", 1, session) == true)
    assert(d:leased "p" == 1 and d:lease("q", 0, session) == false)
    local back = d:give_back("p", session)
    return tostring(back) .. tostring(d:give_back("p", session)), d:leased "p"]], "truefalse | 0" },
}

--- Mistakes raise.
local WRONG = {
  { "secret_key", "d:get(credentials.password)", "a Secret is no key" },
  { "secret_value", [[d:set("k", credentials.password)]], "a Secret is not kept" },
  { "table_value", [[d:add("k", {})]], "a string, a number or a boolean expected" },
  { "empty_key", [[d:get ""]], "a key of 1 to 8192 bytes" },
  { "long_key", [[d:lease(("k"):rep(8193), 1, session)]], "a key of 1 to 8192 bytes" },
  { "short_ttl", [[d:set("k", 1, 0)]], "0.001 to 1e9 expected" },
  { "infinite", [[d:incr("k", math.huge)]], "a finite number expected" },
  { "fast", [[d:take("k", 1e7)]], "tokens a second" },
  { "no_burst", [[d:take("k", 1, 0)]], "a whole number from 1" },
  { "half_a_burst", [[d:take("k", 1, 1.5)]], "a whole number from 1" },
}

local function bodies()
  local all = {}
  for table_name in pairs { here = true, there = true } do
    for _, set in ipairs { RESULTS, WRONG } do
      for _, row in ipairs(set) do
        all[table_name .. "_" .. row[1]] = ("local d = %s\n%s"):format(table_name, row[2])
      end
    end
  end
  all.foreign = [[local value, err = there:get "foreign" return value, err.kind]]
  all.big = [[local ok, err = there:set("big", ("v"):rep(65537)) return ok, err.kind]]
  all.failing = [[
    local kinds = {}
    for _, call in ipairs {
      function() return there:get "k" end, function() return there:set("k", 1) end,
      function() return there:add("k", 1) end, function() return there:incr "k" end,
      function() return there:delete "k" end, function() return there:ttl "k" end,
      function() return there:take("k", 1) end,
      function() return there:lease("k", 1, session) end, function() return there:leased "k" end,
    } do
      local value, err = call()
      kinds[#kinds + 1] = value == nil and err.kind or "?"
    end
    return table.concat(kinds, " ")]]
  return all
end

describe("a shared table", function()
  local server, authority, run

  setup(function()
    authority = ca.new()
    server = redis.start { password = "pw", tls = authority:leaf { names = { "IP:127.0.0.1" } } }
    run = modules.start {
      configuration = ('tls_profiles = { default = { ca = %q } }, shared = { here = "1m", there = '
        .. '{ store = "%s/2", password = "pw", timeout = 0.5 } },'):format(authority.certificate,
        server.url),
      top = [[
        local here = require "moongate.shared".get "here"
        local there = require "moongate.shared".get "there"]],
      bodies = bodies(),
      hook_timeout = 60,
    }
  end)
  teardown(function()
    run.stop()
    server:stop()
    authority:remove()
  end)

  for _, place in ipairs { "here", "there" } do
    for _, row in ipairs(RESULTS) do
      it(("%s: %s"):format(place, row[1]), function()
        assert.equal(row[3], run(place .. "_" .. row[1]))
      end)
    end
    for _, row in ipairs(WRONG) do
      it(("%s raises: %s"):format(place, row[1]), function()
        assert.matches("^ERROR: .*" .. row[3], run(place .. "_" .. row[1]))
      end)
    end
  end

  it("in Redis has keys of its own, in the database that was said", function()
    run "there_kinds"
    assert.equal("b0", server:cli("-n", 2, "GET", "moongate:there/value:kind"))
    server:cli("-n", 2, "SET", "moongate:there/value:foreign", "?")
    assert.equal("nil | protocol", run "foreign")
    assert.equal("nil | overload", run "big")
  end)

  it("in Redis that has stopped answering is an outage, for each call", function()
    run "there_missing"
    server:signal(signal.SIGSTOP)
    local said = run("failing", 60)
    server:signal(signal.SIGCONT)
    assert.equal(("timeout "):rep(9):sub(1, -2), said)
    assert.equal("truefalse | 0", run "there_places")
  end)
end)

describe("a shared table behind Sentinels", function()
  it("is in the master that they name", function()
    local server = redis.start { password = "pw" }
    local sentinel = redis.sentinel(server)
    local run = modules.start {
      configuration = ('shared = { there = { store = "redis://", password = "pw", timeout = "5s", '
        .. 'prefix = "mine/", sentinel = { addresses = %q, name = "mail" } } },')
        :format(sentinel.address),
      top = [[local there = require "moongate.shared".get "there"]],
      bodies = { incr = [[return there:incr "n", there:lease("p", 1, session)]] },
    }
    finally(function()
      run.stop()
      sentinel:stop()
      server:stop()
    end)
    assert.equal("1 | true", run "incr")
    assert.equal("n1", server:cli("GET", "mine/there/value:n"))
  end)
end)
