--- moongate.compat.ngx: the names that OpenResty's drivers use, in a policy of the real gateway.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local command = require "spec.support.command"
local gateway = require "spec.support.gateway"
local modules = require "spec.support.modules"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local TOP = [[
local ngx = require "moongate.compat.ngx"
local lock, lrucache = require "resty.lock", require "resty.lrucache"
local semaphore, cjson = require "ngx.semaphore", require "cjson"
local safe, driver = require "cjson.safe", require "resty.driver"
local PORT, TLS = %d, %d

local function open(port)
  local sock = ngx.socket.tcp()
  sock:settimeouts(5000, 5000, 5000)
  assert(sock:connect("127.0.0.1", port or PORT))
  return sock
end

local function hex(text)
  return (text:gsub(".", function(c) return ("%%02x"):format(c:byte()) end))
end
]]

--- Not a line of it knows about moongate.
local DRIVER = [[
local part = require "resty.driver.part"
local new_tab = require "table.new"
return { names = part.names, tab = new_tab(1, 0), phase = ngx.get_phase(), req = ngx.req }
]]
local PART = [[return { names = { ngx = ngx ~= nil, say = ngx.say == nil } }]]

local BODIES = {
  environment = [[
    local names = driver.names
    return tostring(names.ngx) .. tostring(names.say) .. driver.phase,
      tostring(driver.req == ngx.req)]],
  request = [[ngx.ctx.user = 1]],
  null = [[return tostring(ngx.null), tostring(ngx.null == cjson.null and ngx.null ~= nil)]],
  json = [[
    local back = cjson.decode(cjson.encode { a = { 1, ngx.null } })
    return back.a[1] .. tostring(back.a[2]), tostring((safe.decode "{"))]],
  digests = [[return ngx.md5 "a" .. hex(ngx.md5_bin "a"):sub(1, 4), hex(ngx.sha1_bin "abc")]],
  hmac = [[return hex(ngx.hmac_sha1("key", "The quick brown fox jumps over the lazy dog"))]],
  crc = [[return ngx.crc32_short "123456789", ngx.crc32_long ""]],
  base64 = [[
    return ngx.encode_base64 "a?" .. ngx.encode_base64("a?", true) .. ngx.decode_base64 "YT8",
      tostring((ngx.decode_base64 "?"))]],
  escaped = [[return ngx.escape_uri "a b/\195\169~", ngx.unescape_uri "a+b%2f%zz"]],
  whole_uri = [[return ngx.escape_uri("http://a/b c?d", 0)]],
  arguments = [[
    local found = ngx.decode_args "a=1&b&a=2&c=%20"
    return found.a[1] .. found.a[2] .. tostring(found.b) .. found.c,
      ngx.encode_args { a = { "x y", true } }]],
  too_many = [[return select(2, ngx.decode_args("a=1&b=2", 1))]],
  http_time = [[return ngx.http_time(784111777)]],
  times = [[
    ngx.update_time()
    local before = ngx.now()
    ngx.sleep(0.01)
    return tostring(ngx.now() > before), tostring(ngx.time() == math.floor(ngx.now()))]],
  worker = [[
    return ngx.worker.id() .. ngx.worker.count() .. tostring(ngx.worker.exiting()),
      tostring(ngx.worker.pid() > 1)]],
  config = [[return ngx.config.ngx_lua_version .. ngx.config.subsystem, ngx.get_phase()]],
  logged = [[ngx.log(ngx.ERR, "from ", nil, " a driver ", credentials.password) return "done"]],

  match = [[
    local context = { pos = 3 }
    local m = ngx.re.match("a1b22", "(\\d)(\\d)?(x)?", "jo", context)
    return m[0] .. m[1] .. m[2] .. tostring(m[3]), context.pos]],
  into = [[local m = ngx.re.match("a1", "\\d", nil, nil, { old = 1 }) return m[0] .. m.old]],
  find = [[
    local from, to = ngx.re.find("key=value", "=(v)", "jo", nil, 1)
    return from .. "-" .. to, tostring((ngx.re.find("x", "y")))]],
  gmatch = [[
    local words = {}
    for m in ngx.re.gmatch("a1b2", "[a-z]", "i") do words[#words + 1] = m[0] end
    return table.concat(words)]],
  gsub = [[
    local text, count = ngx.re.gsub("a1b2", "(\\d)", "<$1>")
    return text .. count, (ngx.re.sub("aa", "a", function(m) return m[0] .. "!" end))]],
  bad = [[return select(2, ngx.re.match("a", "(")), select(2, ngx.re.match("a", "a", "d"))]],
  bad_gsub = [[local text, count, err = ngx.re.gsub("a", "(", "") return tostring(text), err]],
  bad_find = [[local from, to, err = ngx.re.find("a", "(") return tostring(from), err]],

  shared = [[
    local d = ngx.shared.cache
    d:delete "k"
    assert(d:set("k", "v", 100) and d:get "k" == "v")
    local added, err = d:add("k", 1)
    return tostring(added) .. " " .. err .. " " .. math.ceil(d:ttl "k"),
      tostring(ngx.shared.nowhere)]],
  counted = [[
    local d = ngx.shared.cache
    d:delete "n"
    local sum, err = d:incr("n", 1)
    return tostring(sum) .. " " .. err .. d:incr("n", 1, 5) .. d:incr("n", 1),
      tostring(d:replace("nothing", 1))]],
  lock = [[
    local first, second = lock:new "cache", lock:new("cache", { timeout = 0.01 })
    local waited = first:lock "place"
    local got, err = second:lock "place"
    first:unlock()
    return waited .. tostring(got) .. err, tostring(second:lock "place" and second:unlock())]],
  cache = [[
    local c = lrucache.new(2)
    c:set("a", 1) c:set("b", 2)
    c:get "a"
    c:set("c", 3)
    return tostring(c:get "b") .. c:get "a" .. c:get "c", c:count()]],
  stale = [[
    local c = lrucache.new(2)
    c:set("a", 1, 0.001)
    ngx.sleep(0.01)
    local value, old = c:get "a"
    return tostring(value), old]],

  threads = [[
    local function work(seconds, word) ngx.sleep(seconds) return word, seconds end
    local slow, fast = ngx.thread.spawn(work, 5, "slow"), ngx.thread.spawn(work, 0.01, "fast")
    local ok, word = ngx.thread.wait(slow, fast)
    return tostring(ok) .. word .. ngx.thread.kill(slow), select(2, ngx.thread.wait(fast))]],
  failed_thread = [[
    local ok, err = ngx.thread.wait(ngx.thread.spawn(function() error("oh", 0) end))
    return tostring(ok), err]],
  semaphore = [[
    local s = semaphore.new(1)
    assert(s:wait(1))
    local thread = ngx.thread.spawn(function() return s:wait(5) end)
    local waiting = s:count()
    s:post()
    local _, got = ngx.thread.wait(thread)
    return waiting .. tostring(got), select(2, s:wait(0.01))]],
  posted_later = [[
    local s = semaphore.new(0)
    s:wait(0.01)
    s:post(1)
    return tostring(s:wait(0)), s:count()]],
  timer = [[
    local s = semaphore.new(0)
    ngx.timer.at(0, function(premature, word) s.heard = tostring(premature) .. word s:post() end,
      "rang")
    return tostring(s:wait(5)), s.heard]],

  sends = [[
    local sock = open()
    local sent = sock:send { "hello ", 5, { "\r\n" } }
    return sent .. sock:receive(), sock:receive "3"]],
  pieces = [[
    local sock = open()
    local next_piece = sock:receiveuntil("--", { inclusive = true })
    local words = {}
    for piece in function() return next_piece(3) end do words[#words + 1] = piece end
    return table.concat(words, "/"), sock:receiveany(10)]],
  partial = [[
    local data, err, partial = open():receive(100)
    return tostring(data) .. " " .. err, partial]],
  late = [[
    local sock = open()
    sock:settimeout(50)
    return (select(2, sock:receive()))]],
  kept = [[
    local sock = open()
    sock:send "one\r\n"
    sock:receive()
    assert(sock:setkeepalive(10000, 5))
    sock = open()
    local times = sock:getreusedtimes()
    sock:send "two\r\n"
    return times, sock:receive()]],
  unkept = [[
    local sock = open()
    sock:receive()
    local ok, err = sock:setkeepalive()
    return tostring(ok) .. err, select(2, sock:send "x")]],
  refused = [[return select(2, ngx.socket.connect("127.0.0.1", 1))]],
  secure = [[
    local sock = open(TLS)
    assert(sock:sslhandshake(nil, "host.test", true))
    sock:send "hi\r\n"
    local heard = sock:receive()
    assert(sock:setkeepalive(10000))
    sock = open(TLS)
    assert(sock:sslhandshake(nil, "host.test", true))
    sock:send "hi\r\n"
    return heard .. sock:getreusedtimes(), sock:receive()]],
  untrusted = [[
    local sock = open(TLS)
    local ok, err = sock:sslhandshake(nil, "other.test")
    return tostring(ok), err]],
  weaker = [[
    local sock = open(TLS)
    assert(sock:sslhandshake(nil, "other.test", false))
    assert(sock:setkeepalive(10000))
    sock = open(TLS)
    local ok, err = sock:sslhandshake(nil, "other.test", true)
    return tostring(ok), err]],
}

local PLAIN_POLICY = [[
local log = require "moongate".log
local found = pcall(function() return ngx end)
return { connect = function() log("info", "sees ngx: " .. tostring(found)) end }
]]

describe("moongate.compat.ngx", function()
  local run, server, secure, authority, script

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { names = { "DNS:host.test" } }
    server = upstream.start { name = "server", script = function(peer) return script(peer) end }
    secure = upstream.start { name = "secure", script = function(peer)
      pcall(function() -- until the gateway leaves
        tls.start(peer, tls.server { certificate = leaf.certificate, key = leaf.key }):handshake()
        while true do peer:send_line(peer:expect "^(.*)$") end
      end)
    end }
    run = modules.start {
      top = TOP:format(server.port, secure.port), bodies = BODIES,
      files = { ["scripts/resty/driver.lua"] = DRIVER, ["scripts/resty/driver/part.lua"] = PART },
      configuration = ([[shared = { cache = "1m" },
        tls_profiles = { default = { ca = %q } },]]):format(authority.certificate),
    }
  end)
  after_each(function()
    client.discard_all()
    server:clear()
    secure:clear()
  end)
  teardown(function()
    run.stop()
    server:stop()
    secure:stop()
    authority:remove()
  end)

  local function says(bytes, stay)
    script = function(peer)
      peer:send(bytes)
      peer:flush()
      if not stay then peer:close() end
    end
  end

  it("is seen by what the policy requires, unmodified", function()
    assert.equal("truetruetimer | true", run "environment")
    assert.matches("^ERROR: .*ngx.ctx: there is no request here", run "request")
  end)

  it("is not seen by other policies, and `moongate check` knows both", function()
    local config = [[
      local c = require "moongate.config"
      return c.gateway { workers = 1, c.listen "imap" { address = "127.0.0.1:0",
        protocol = "imap", policy = { "compat", "plain" } } }]]
    local gw = gateway.start { files = { ["moongate.lua"] = config,
      ["scripts/plain.lua"] = PLAIN_POLICY,
      ["scripts/compat.lua"] = 'local ngx = require "moongate.compat.ngx"\n'
        .. 'local driver = require "resty.driver"\n'
        .. "return { auth = function() return nil, ngx.null and driver end }",
      ["scripts/resty/driver.lua"] = DRIVER, ["scripts/resty/driver/part.lua"] = PART } }
    finally(function() gw:stop() end)
    client.connect(gw.ports.imap):expect "^%* OK"
    client.discard_all()
    gw:expect_log "(sees ngx: false)"
    local output, status = command.run("check -c moongate.lua", { folder = gw.folder })
    assert.equal(0, status, output)
  end)

  it("has null, JSON, digests and other forms of texts", function()
    assert.equal("userdata: NULL | true", (run "null":gsub("userdata: %(nil%)", "userdata: NULL")))
    assert.matches("^1userdata: .* | nil$", run "json")
    assert.equal("0cc175b9c0f1b6a831c399e269772661" .. "0cc1 | "
      .. "a9993e364706816aba3e25717850c26c9cd0d89d", run "digests")
    assert.equal("de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9", run "hmac")
    assert.equal("3421780262 | 0", run "crc")
    assert.equal("YT8=YT8a? | nil", run "base64")
    assert.equal("a%20b%2F%C3%A9~ | a b/%zz", run "escaped")
    assert.equal("http://a/b%20c%3Fd", run "whole_uri")
    assert.equal("12true  | a=x%20y&a", run "arguments")
    assert.equal("truncated", run "too_many")
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", run "http_time")
  end)

  it("tells where it runs, and the time", function()
    assert.equal("true | true", run "times")
    assert.equal("01false | true", run "worker")
    assert.equal("10029http | timer", run "config")
    assert.equal("done", run "logged")
    run.gateway:expect_log "(from nil a driver %*%*%*%(redacted%))"
  end)

  it("has regular expressions", function()
    assert.equal("2222false | 6", run "match")
    assert.equal("11", run "into")
    assert.equal("5-5 | nil", run "find")
    assert.equal("ab", run "gmatch")
    assert.equal("a<1>b<2>2 | a!a", run "gsub")
    assert.matches("^missing closing parenthesis.* | the DFA mode is not there$", run "bad")
    assert.matches("^nil | missing", run "bad_gsub")
    assert.matches("^nil | missing", run "bad_find")
  end)

  it("has shared tables, locks and caches", function()
    assert.equal("false exists 100 | nil", run "shared")
    assert.equal("nil not found67 | false", run "counted")
    assert.equal("0niltimeout | 1", run "lock")
    assert.equal("nil13 | 2", run "cache")
    assert.equal("nil | 1", run "stale")
  end)

  it("has threads, semaphores and timers", function()
    assert.equal("truefast1 | already waited or killed", run "threads")
    assert.equal("false | oh", run "failed_thread")
    assert.equal("-1true | timeout", run "semaphore")
    assert.equal("true | 0", run "posted_later")
    assert.equal("true | falserang", run "timer")
  end)

  it("has cosockets", function()
    script = function(peer)
      peer:expect "^hello 5$"
      peer:send "one\ntwo"
    end
    assert.equal("9one | two", run "sends")
    says("abcdefg--rest", true)
    assert.equal("abc/def/g-- | rest", (run "pieces":gsub("g%-/%-", "g--")))
    says "part"
    assert.equal("nil closed | part", run "partial")
    says("", true)
    assert.equal("timeout", run "late")
    assert.equal("connection refused", run "refused")
  end)

  it("leaves connections for others, unless there is more to receive", function()
    local opened = 0
    script = function(peer)
      opened = opened + 1
      pcall(function() while true do peer:send_line(peer:expect "^(.*)$") end end)
    end
    assert.equal("1 | two", run "kept")
    assert.equal(1, opened)
    says("line\nmore", true)
    assert.equal("nilclosed | closed", run "unkept")
  end)

  it("speaks TLS, and believes no wrong certificate", function()
    assert.equal("hi1 | hi", run "secure")
    assert.matches("^nil | .*TLS.*other%.test", run "untrusted")
    assert.matches("^nil | .*other settings", run "weaker")
  end)
end)
