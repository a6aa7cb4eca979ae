--- OpenResty's drivers as Debian has them, unmodified, in a policy: against real servers.
--
-- scripts/dev/specs has unpacked the packages into build/drivers.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local memcached = require "spec.support.memcached"
local modules = require "spec.support.modules"
local redis = require "spec.support.redis"

local FOLDER = "build/drivers/usr/share/lua/5.1/nginx/"

--- The files of drivers, by where an operator puts them: scripts/nginx/.
local function drivers(...)
  local files = {}
  for _, name in ipairs { ... } do
    local file = assert(io.open(FOLDER .. name .. ".lua"), name)
    files["scripts/nginx/" .. name .. ".lua"] = file:read "*a"
    file:close()
  end
  return files
end

local TOP = [[
local ngx = require "moongate.compat.ngx"
local REDIS, MEMCACHED, DNS, SENTINEL = %d, %d, %d, %d
local redis, connector = require "nginx.redis", require "nginx.redis.connector"
local memcached, resolver = require "nginx.memcached", require "nginx.dns.resolver"

local function open_redis()
  local red = redis:new()
  red:set_timeout(5000)
  assert(red:connect("127.0.0.1", REDIS))
  return red
end

local function open_memcached()
  local mem = assert(memcached:new())
  mem:set_timeout(5000)
  assert(mem:connect("127.0.0.1", MEMCACHED))
  return mem
end

local function ask(name, options)
  local r = assert(resolver:new { nameservers = { { "127.0.0.1", DNS } }, retrans = 2,
    timeout = 2000 })
  return r:query(name, options)
end
]]

local REDIS = "local red = open_redis() "
local MEMCACHED = "local mem = open_memcached() "

local BODIES = {
  values = REDIS .. [[
    assert(red:set("key", "a value\r\nof two lines") == "OK")
    local missing = red:get "nothing"
    return red:get "key", tostring(missing == ngx.null)]],
  pipeline = REDIS .. [[
    red:init_pipeline()
    red:set("n", 1) red:incr "n" red:get "n" red:lpush("n", 1)
    local results = assert(red:commit_pipeline())
    return #results .. " " .. results[2] .. " " .. results[3], results[4][2]:match "^%u+"]],
  script = REDIS .. [[
    local sum = red:eval("return {KEYS[1], ARGV[1] + 1, 'x'}", 1, "k", 41)
    return sum[1] .. sum[2] .. sum[3] ]],
  hash = REDIS .. [[
    red:del "h"
    red:hmset("h", { a = 1, b = 2 })
    local h = red:array_to_hash(red:hgetall "h")
    return h.a .. h.b]],
  kept = REDIS .. [[
    local id = red:client "id"
    assert(red:set_keepalive(10000, 10))
    red = open_redis()
    return red:get_reused_times(), tostring(red:client "id" == id)]],
  wrong = REDIS .. [[local ok, err = red:incr("key", "x") return tostring(ok), err]],
  timeout = REDIS .. [[
    red:set_timeout(50)
    local value, err = red:blpop("empty", 0)
    return tostring(value), err]],
  refused = [[local ok, err = redis:new():connect("127.0.0.1", 1) return tostring(ok), err]],
  subscribed = REDIS .. [[
    assert(red:subscribe "news")
    local other = open_redis()
    other:publish("news", "hear, hear")
    local message = assert(red:read_reply())
    return message[1], message[3] ]],
  connector = [[
    local red, err = connector.new { host = "127.0.0.1", port = REDIS, db = 3 }:connect()
    assert(red, err)
    red:set("in", "three")
    return red:get "in", red:client("list"):match " db=3 " ]],
  sentinels = [[
    local red, err = connector.new { url = "sentinel://mail:m/2",
      sentinels = { { host = "127.0.0.1", port = SENTINEL } } }:connect()
    assert(red, err)
    return red:config("get", "port")[2] == tostring(REDIS), red:client("list"):match " db=2 "]],
  ["unix"] = [[
    local red = redis:new()
    assert(red:connect(UNIX))
    return red:ping()]],

  remembered = MEMCACHED .. [[
    assert(mem:set("a key", "value", 0, 7))
    local value, flags = mem:get "a key"
    return value, flags]],
  several = MEMCACHED .. [[
    mem:set("one", 1) mem:set("two", 2)
    local found = assert(mem:get { "one", "two", "three" })
    return found.one[1] .. found.two[1], tostring(found.three)]],
  counted = MEMCACHED .. [[
    mem:set("n", 5)
    return mem:incr("n", 2), select(2, mem:add("n", 1))]],
  version = MEMCACHED .. [[return (mem:version():match "^%d+")]],
  kept_by_memcached = MEMCACHED .. [[
    assert(mem:set_keepalive(10000, 10))
    mem = open_memcached()
    return mem:get_reused_times(), mem:get "nobody"]],

  address = [[
    local answers = assert(ask "host.test")
    return answers[1].address, answers[1].type]],
  text = [[
    local answers = assert(ask("host.test", { qtype = resolver.TYPE_TXT }))
    return answers[1].txt]],
  unknown = [[
    local answers = assert(ask "nobody.test")
    return answers.errcode, answers.errstr]],
}

describe("OpenResty's drivers", function()
  local server, sentinel, cache, dns, run

  setup(function()
    server, cache = redis.start(), memcached.start()
    sentinel = redis.sentinel(server)
    dns = dns_server.start { ["host.test"] = { A = { "192.0.2.7" }, TXT = { "hello" } } }
    run = modules.start {
      top = TOP:format(server.port, cache.port, dns.address:match ":(%d+)$", sentinel.port)
        .. ("local UNIX = %q\n"):format(server.unix),
      bodies = BODIES,
      files = drivers("redis", "redis/connector", "redis/sentinel", "memcached", "dns/resolver"),
    }
  end)
  after_each(function() client.discard_all() end)
  teardown(function()
    if run then run.stop() end
    dns:stop()
    cache:stop()
    sentinel:stop()
    server:stop()
  end)

  it("speak to Redis: values, pipelines, scripts, hashes", function()
    assert.equal("a value??of two lines | true", run "values")
    assert.equal("4 2 2 | WRONGTYPE", run "pipeline")
    assert.equal("k42x", run "script")
    assert.equal("12", run "hash")
    assert.equal("PONG", run "unix")
  end)

  it("hear messages of Redis", function()
    assert.equal("message | hear, hear", run "subscribed")
  end)

  it("leave connections for others, which find them", function()
    assert.equal("1 | true", run "kept")
    assert.equal("1", run "kept_by_memcached":match "^%d+")
  end)

  it("hear of failures in OpenResty's words", function()
    assert.equal("false | ERR wrong number of arguments for 'incr' command", run "wrong")
    assert.equal("nil | timeout", run "timeout")
    assert.equal("nil | connection refused", run "refused")
  end)

  it("choose a database by the connector", function()
    assert.equal("three |  db=3 ", run "connector")
  end)

  it("ask a Sentinel who is the master", function()
    assert.equal("true |  db=2 ", run "sentinels")
  end)

  it("speak to memcached", function()
    assert.equal("value | 7", run "remembered")
    assert.equal("12 | nil", run "several")
    assert.equal("7 | NOT_STORED", run "counted")
    assert.equal("1", run "version")
  end)

  it("ask name servers", function()
    assert.equal("192.0.2.7 | 1", run "address")
    assert.equal("hello", run "text")
    assert.equal("3 | name error", run "unknown")
  end)
end)
