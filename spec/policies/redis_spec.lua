--- moongate.redis against a real server.
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local redis = require "spec.support.redis"
local signal = require "posix.signal"

local BODIES = {
  missing = [[return red:get "nobody"]],
  set = [[
    assert(red:set("k", "a\0b\r\n\255") == true)
    return red:get "k" == "a\0b\r\n\255", red:exists "k"]],
  only = [[
    red:del("o", "o2")
    local first, second = red:set("o", 1, { only = "absent" }), red:set("o", 2, { only = "absent" })
    local third = red:set("o2", 1, { only = "present" })
    return tostring(first) .. tostring(second) .. tostring(third), red:get "o"]],
  expiry = [[
    red:set("e", "x", { ttl = 100 })
    red:set("n", "x")
    red:set("m", "x")
    local left, never, gone = red:ttl "e", red:ttl "n", red:ttl "nobody"
    assert(red:expire("m", 0.001) == true and red:expire("nobody", 5) == false)
    return left > 90 and left <= 100 and never == -1 and gone == nil]],
  numbers = [[
    red:del "i"
    assert(red:incr "i" == 1 and red:incr("i", 41) == 42 and red:incr("i", -2) == 40)
    red:set("big", 1e15)
    local big = red:get "big"
    return big, red:command("INCRBY", "big", "9000000000000000000")]],
  list = [[
    red:del "l"
    red:command("RPUSH", "l", "a", "b")
    local l = red:command("LRANGE", "l", 0, -1)
    local m = red:command("MGET", "nobody", "nobody")
    return #l .. l[1] .. l[2], #m == 2 and m[1] == false and m[2] == false]],
  eval = [[
    local script = "return { KEYS[1], ARGV[1], ARGV[2] .. '-' .. #KEYS }"
    for _ = 1, 2 do
      local r = assert(red:eval(script, { "key" }, { 1, credentials.password }))
      assert(r[1] == "key" and r[2] == "1" and r[3] == "secret-1")
    end
    return red:eval("return 7")]],
  server_error = [[
    red:set("text", "x")
    local n, err = red:incr "text"
    return n, err.kind .. " " .. err]],
  hides = [[
    local n, err = red:command("NOSUCH", credentials.password)
    return n, err.kind .. " " .. err]],
  pipeline = [[
    local r = assert(red:pipeline(function(p)
      p:set("p", credentials.password)
      p:get "p"
      p:get "nobody"
      p:incr "p"
      p:eval("return ARGV[1]", {}, { "x" })
      p:exists "p"
    end))
    return #r .. tostring(r[1]) .. r[2] .. tostring(r[3]) .. r[4].kind .. r[5] .. tostring(r[6])]],
  pipeline_list = [[
    local r = assert(red:pipeline { { "SET", "q", 5 }, { "INCR", "q" } })
    return r[1], r[2] ]],
  transaction = [[
    local r = assert(red:pipeline { { "MULTI" }, { "SET", "t", 1 }, { "INCR", "t" }, { "EXEC" } })
    return #r[4], r[4][2] ]],
  half_transaction = [[
    assert(red:command "MULTI" == "OK")
    return red:get "nobody"]],
  empty = [[return #red:pipeline(function() end)]],
  late = [[
    local kept
    red:pipeline(function(p) kept = p p:get "k" end)
    return kept:get "k"]],
  nested = [[return #assert(red:command("COMMAND", "DOCS", "GET", "SET"))]],
  upsets = [[return red:command("SELECT", 1)]],
  wrong = [[return red:set("k", {})]],
  unknown = [[return redis.pool { url = "redis://x", tiemout = 1 }]],
  cluster = [[
    local n, err = red:eval("return redis.error_reply('MOVED 3999 127.0.0.1:1')")
    return n, err.kind .. " " .. err]],
  too_long = [[
    red:set("long", ("x"):rep(600000))
    local r, err = red:eval("local s = redis.call('GET', 'long') return s .. s", {}, {})
    return r, err.kind]],
  too_many = [[
    local r, err = red:eval("local t = {} for i = 1, 10001 do t[i] = 1 end return t")
    return r, err.kind]],
  slow = [[
    local r, err = quick:command("BLPOP", "nobody", 5)
    return r, err.kind]],
  busy = [[
    local r, err = one:command("BLPOP", "wake", 0)
    return r and r[2], err and err.kind]],
  refused = [[local r, err = nobody:get "k" return r, err.kind]],
  unix = [[return local_one:get "k" ~= nil]],
  database = [[second:set("d", 2) return red:get "d", second:get "d"]],
  hangs = [[return red:command("BLPOP", "nobody", 0)]],
  alive = [[return red:incr "alive"]],
}

describe("redis", function()
  local run, server

  setup(function()
    server = redis.start()
    run = modules.start { bodies = BODIES, hook_timeout = 5, top = ([[
local redis = require "moongate.redis"
local red = redis.pool { url = %q, timeout = 4, size = 4 }
local quick = redis.pool { url = %q, timeout = 0.2, database = 5 }
local one = redis.pool { url = %q, timeout = 4, size = 1, queue = 1, database = 3 }
local nobody = redis.pool { url = "redis://127.0.0.1:1" }
local local_one = redis.pool { url = %q }
local second = redis.pool { url = %q .. "/2" }
local others = { red, quick, one, nobody, local_one, second }
]]):format(server.url, server.url, server.url, server.unix,
      server.url) }
  end)
  after_each(function() client.discard_all() end)
  teardown(function()
    run.stop()
    server:stop()
  end)

  for name, expected in pairs {
    missing = "nil", set = "true | true", only = "truefalsefalse | 1", expiry = "true",
    numbers = "1000000000000000 | 9001000000000000000", list = "2ab | true", eval = "7",
    pipeline = "6truesecretfalseserverxtrue", pipeline_list = "OK | 6", transaction = "2 | 2",
    half_transaction = "nil", empty = "0", too_long = "nil | protocol", too_many = "nil | protocol",
    slow = "nil | timeout", refused = "nil | connect", database = "nil | 2", nested = "4",
  } do
    it("answers: " .. name, function() assert.equal(expected, run(name)) end)
  end

  it("speaks over a unix socket", function()
    run "set"
    assert.equal("true", run "unix")
  end)

  it("tells what the server objects to, but not what may repeat a secret", function()
    assert.matches("^nil | server redis redis://127.0.0.1:%d+/0: ERR value is not an integer",
      run "server_error")
    assert.matches("^nil | server redis redis://127.0.0.1:%d+/0: ERR$", run "hides")
    assert.matches("server .*Redis Cluster, which is not supported %(MOVED 3999", run "cluster")
  end)

  it("raises for mistakes of the policy", function()
    assert.matches("^ERROR: .*SELECT changes the connection", run "upsets")
    assert.matches("^ERROR: .*a string, number or Secret is expected, not a table", run "wrong")
    assert.matches('unknown field "tiemout" %(did you mean "timeout"', run "unknown")
    assert.matches("^ERROR: .*this pipeline has been sent", run "late")
  end)

  it("lets callers wait for a connection, and no more of them than its queue has room", function()
    local first, second = run.begin "busy", run.begin "busy"
    server:wait("the first to ask", { "CLIENT", "LIST" }, "db=3[^\n]*cmd=blpop")
    assert.equal("nil | overload", run "busy")
    server:cli("-n", 3, "RPUSH", "wake", "a", "b")
    assert.equal("a", run.finish(first))
    assert.equal("b", run.finish(second))
  end)

  it("closes what a hook waits for when its client goes", function()
    local c = run.begin "hangs"
    server:wait("it to block", { "CLIENT", "LIST" }, "db=0[^\n]*cmd=blpop")
    c:discard()
    server:wait("the connection to be closed", { "CLIENT", "LIST" }, function(list)
      return not list:find "db=0[^\n]*cmd=blpop"
    end)
  end)

  it("notices that a connection it keeps was closed", function()
    local before = tonumber(run "alive")
    server:cli("CLIENT", "KILL", "TYPE", "normal")
    assert.equal(before + 1, tonumber(run "alive"))
    server:kill()
    server:run()
    assert.equal(1, tonumber(run "alive"))
  end)

  it("gives up on a server that has stopped", function()
    run "alive"
    server:signal(signal.SIGSTOP)
    local answer = run("slow", 10)
    server:signal(signal.SIGCONT)
    assert.equal("nil | timeout", answer)
  end)
end)
