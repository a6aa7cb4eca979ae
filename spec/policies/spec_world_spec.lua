--- What surrounds policies under `moongate.spec`: time that takes none, a network of the spec's.
local spec = require "moongate.spec"

local HEAD = [[
local moongate = require "moongate"
local auth_http, crypt = require "moongate.auth_http", require "moongate.crypt"
local dns, http = require "moongate.dns", require "moongate.http"
local socket, timer = require "moongate.socket", require "moongate.timer"
local modules = { moongate, auth_http, crypt, dns, http, socket, timer }
local P = {}
local function say(text, err)
  return moongate.reject { reason = tostring(text), log = err and text or tostring(text) }
end
]]

--- A gateway of one policy; `text` fills P.
local function gateway(text, more)
  local options = { "p", files = { ["scripts/p.lua"] = HEAD .. text .. "\nreturn P, say, modules" },
    listener = "upstream = \"10.0.0.1\"" }
  for k, v in pairs(more or {}) do options[k] = v end
  return spec.policy(options)
end

local function auth(body, more)
  return gateway("function P.auth(session, credentials) " .. body .. " end", more)
end

local function login(gw) return gw:session():login("alice", "secret") end

local function trace(gw)
  local words = {}
  for i, call in ipairs(gw:calls()) do words[i] = tostring(call) end
  return words
end

before_each(function() spec.logged() end)

describe("the clock", function()
  it("goes on while a policy waits, and only then", function()
    local gw = auth "moongate.sleep(8) return say(moongate.now() % 1 >= 0)"
    local began = os.time()
    assert.equal(0, gw.clock.now)
    assert.decision(login(gw)).is_reject()
    assert.equal(8, gw.clock.now)
    assert.is_true(os.time() - began < 8)
  end)

  it("ends a hook after its budget, which takes no time", function()
    local gw = auth "moongate.sleep(3600) return moongate.accept()"
    local began = os.time()
    assert.decision(login(gw)).is_tempfail { log = "timeout" }
    assert.equal(10, gw.clock.now)
    assert.is_true(os.time() - began < 8)
  end)

  it("is what a policy reads", function()
    local gw = auth [[
      local now, time, seconds = moongate.now(), moongate.time(), os.time()
      local hour = os.date "%H"
      moongate.sleep(7200 / 1000)
      session.vars.slept = moongate.now() - now
      session.vars.seconds = os.time() - seconds
      return say(("%.1f %.1f"):format(moongate.now() - now, moongate.time() - time)
        .. tostring(os.date("%H") == hour or #hour == 2))]]
    assert.decision(login(gw)).is_reject { reason = "7.2 7.2true" }
    local fixed = auth [[return say(os.date("!%Y-%m-%d", 0)
      .. os.time { year = 2000, month = 1, day = 1, hour = 12 })]]
    assert.matches("1970%-01%-01946", login(fixed).reason)
  end)

  it("runs timers as it is advanced, and what they wait for", function()
    local gw = gateway [[
      local count = 0
      timer.every(10, "ten", function() moongate.sleep(1) count = count + 1 end)
      timer.after(25, "once", function() count = count + 100 end)
      function P.auth() return say(count) end]]
    gw.clock:advance(9.9)
    assert.decision(login(gw)).is_reject { reason = "0" }
    gw.clock:advance(1.2)
    assert.decision(login(gw)).is_reject { reason = "1" }
    gw.clock:advance(3600 - gw.clock.now)
    assert.decision(login(gw)).is_reject { reason = "459" }
    assert.equal(3600, gw.clock.now)
  end)

  it("is of each gateway alone", function()
    local one, other = auth "moongate.sleep(1)", auth "moongate.sleep(2)"
    login(one)
    assert.equal(0, other.clock.now)
    login(other)
    assert.same({ 1, 2 }, { one.clock.now, other.clock.now })
  end)

  it("stands still while a thread hashes", function()
    local text = "local hash = assert(crypt.hash(credentials.password)) "
      .. "return say(crypt.verify(credentials.password, hash))"
    local one, other = auth(text), auth(text)
    for _, gw in ipairs { one, other, one } do
      assert.decision(login(gw)).is_reject { reason = "true" }
      assert.equal(0, gw.clock.now)
    end
  end)

  it("can't be set back", function()
    assert.error_matches(function() auth "return nil".clock:advance(-1) end, "seconds expected")
  end)
end)

describe("unmocked I/O raises and is named:", function()
  for name, case in pairs {
    http = { "http.get 'https://idp.example/x?y=1'",
      "unmocked I/O: http GET https://idp.example/x?y=1" },
    dns = { "dns.resolve('mail.example.org', 'MX')", "unmocked I/O: dns mail.example.org MX" },
    socket = { "socket.tcp():connect('10.0.0.1', 6379)", "unmocked I/O: socket 10.0.0.1:6379" },
    auth_http = { "return check(session, credentials)",
      "unmocked I/O: auth_http http://127.0.0.1:9000/auth" },
  } do
    local body = "function P.auth(session, credentials) " .. case[1] .. " end"
    local check = "local check = auth_http.new { url = \"http://127.0.0.1:9000/auth\" }\n"

    it(name, function()
      local gw = gateway(check .. body)
      assert.error_matches(function() login(gw) end, case[2], 1, true)
      assert.equal(0, gw.clock.now)
      assert.error_matches(function() login(gw) end, case[2], 1, true)
    end)

    it(name .. " behind a pcall too", function()
      local gw = gateway(check .. "function P.auth(session, credentials) pcall(function() "
        .. case[1] .. " end) return moongate.accept() end")
      assert.error_matches(function() login(gw) end, case[2], 1, true)
    end)
  end

  it("in init", function()
    local gw = gateway "function P.init() http.get 'http://a/' end"
    assert.error_matches(function() gw:init() end, "unmocked I/O: http GET http://a/", 1, true)
    gw.http:reply("http://a/", {})
    assert.is_true(gw:init())
  end)

  it("in a timer", function()
    local gw = gateway "timer.every(5, 'x', function() dns.resolve('a', 'A') end)"
    gw.clock:advance(4)
    assert.error_matches(function() gw.clock:advance(2) end, "unmocked I/O: dns a A", 1, true)
  end)
end)

describe("http", function()
  it("is answered by url", function()
    local gw = auth [[
      local url = "https://idp.example/introspect?x=1"
      local res = assert(http.post(url, { form = { token = "t" } }))
      return say(res.status .. " " .. res:json().active .. " " .. res.headers["x-a"])]]
    gw.http:reply("https://idp.example/introspect", function(request)
      assert.equal("POST", request.method)
      assert.equal("token=t", request.body)
      assert.equal("application/x-www-form-urlencoded", request.headers["content-type"])
      return { status = 201, headers = { ["X-A"] = "b" }, body = "{ \"active\": \"yes\" }" }
    end)
    assert.decision(login(gw)).is_reject { reason = "201 yes b" }
    assert.same({ "0.000 http POST https://idp.example/introspect?x=1",
      "0.000 hook auth -> reject" }, trace(gw))
  end)

  it("tells methods apart", function()
    local gw = auth "return say(http.request('http://a/', { method = 'PUT' }).status)"
    gw.http:reply("http://a/", { status = 500 }):reply("PUT http://a/", { status = 204 })
    assert.decision(login(gw)).is_reject { reason = "204" }
  end)

  for kind, text in pairs { connect = "could not connect", tls = "the handshake failed" } do
    it("fails by " .. kind, function()
      local gw = auth [[local res, err = http.get "http://a/"
        return say(tostring(res) .. " " .. err.kind .. " " .. err)]]
      gw.http:fail("http://a/", kind)
      assert.decision(login(gw)).is_reject { reason = ("nil %s http: %s"):format(kind, text) }
    end)
  end

  it("takes its time", function()
    local gw = auth [[local res, err = http.get("http://a/", { timeout = 4 })
      return say(res and res.body or err.kind)]]
    gw.http:reply("http://a/", { body = "late" }):delay(3)
    assert.decision(login(gw)).is_reject { reason = "late" }
    assert.equal(3, gw.clock.now)
    gw.http:delay(5)
    assert.decision(login(gw)).is_reject { reason = "timeout" }
    assert.equal(7, gw.clock.now)
    gw.http:fail("http://a/", "timeout")
    assert.decision(login(gw)).is_reject { reason = "timeout" }
    assert.equal(11, gw.clock.now)
  end)

  it("is bounded by the hook", function()
    local gw = auth "http.get('http://a/', { timeout = 60 }) return moongate.accept()"
    gw.http:reply("http://a/", {}):delay(30)
    assert.decision(login(gw)).is_tempfail { log = "timeout" }
    assert.equal(10, gw.clock.now)
  end)

  it("refuses failures that there are not", function()
    assert.error_matches(function() auth "".http:fail("http://a/", "nope") end, "can't fail by")
  end)
end)

describe("dns", function()
  it("is answered by name and type", function()
    local gw = auth [[local mx = dns.resolve("example.org", "MX")
      local none = dns.resolve("example.org", "TXT")
      local bad, err = dns.resolve("slow.example", "A", { timeout = 2 })
      return say(table.concat(mx, ",") .. " " .. #none .. " " .. tostring(bad) .. err.kind)]]
    gw.dns:reply("example.org MX", { "10 a", "20 b" }):reply("example.org", {})
      :fail("slow.example", "timeout")
    assert.decision(login(gw)).is_reject { reason = "10 a,20 b 0 niltimeout" }
    assert.equal(2, gw.clock.now)
    assert.equal("0.000 dns example.org MX", trace(gw)[1])
  end)
end)

describe("a socket", function()
  local TALK = [[
    local s = socket.tcp()
    local ok, err = s:connect("directory.example", 4000)
    if not ok then return say(err.kind) end
    local hello = s:receive()
    s:send("GET " .. credentials.user .. "\r\n")
    local line, err = s:receive()
    return say(hello .. "/" .. tostring(line or err.kind))]]

  it("is served by a function", function()
    local gw = auth(TALK)
    gw.socket:reply("directory.example:4000", function(data)
      if data == "" then return "hello\r\n" end
      return data:upper(), true
    end)
    assert.decision(login(gw)).is_reject { reason = "hello/GET ALICE" }
  end)

  it("or by a table of lines", function()
    local gw = auth(TALK)
    gw.socket:reply("directory.example:4000", { greeting = "hi\r\n", ["GET alice"] = "42\r\n" })
    gw.socket:delay(2)
    assert.decision(login(gw)).is_reject { reason = "hi/42" }
    assert.equal(4, gw.clock.now)
    gw.socket:reply("directory.example:4000", { greeting = "hi\r\n" })
    assert.error_matches(function() login(gw) end, "nothing is said to \"GET alice\"", 1, true)
  end)

  for kind, wanted in pairs { connect = "connect", dns = "dns", timeout = "timeout" } do
    it("fails by " .. kind, function()
      local gw = auth(TALK)
      gw.socket:fail("directory.example:4000", kind)
      assert.decision(login(gw)).is_reject { reason = wanted }
    end)
  end
end)

describe("auth_http", function()
  local URL = "http://127.0.0.1:9000/auth"

  local function with(answer, settings)
    local gw = spec.policy { "auth_http", settings = { auth_http = settings or { url = URL } } }
    if answer then gw.auth_http:reply(URL, answer) end
    return gw
  end

  it("is asked as in production, and its answer is read as there", function()
    local asked
    local gw = with(function(request)
      asked = request.headers
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "10.0.0.9",
        ["Auth-Port"] = "1143", ["Auth-User"] = "bob" } }
    end)
    assert.decision(login(gw)).is_accept { address = "10.0.0.9:1143", user = "bob" }
    assert.same({ "alice", "secret", "imap", "203.0.113.9", "1" }, { asked["auth-user"],
      asked["auth-pass"], asked["auth-protocol"], asked["client-ip"],
      asked["auth-login-attempt"] })
    assert.same({ "0.000 auth_http " .. URL, "0.000 hook auth -> accept" }, trace(gw))
  end)

  it("is kept open for the next question", function()
    local gw = with { headers = { ["Auth-Status"] = "no", ["Auth-Wait"] = "1" } }
    local session = gw:session()
    for _ = 1, 3 do
      assert.decision(session:login("alice", "secret")).is_reject { text = "no" }
    end
    assert.equal(6, #gw:calls())
  end)

  it("fails in all the ways there are", function()
    for kind, log in pairs { connect = "Connection refused", timeout = "timed out",
      dns = "failed", closed = "closed", protocol = "not HTTP" } do
      local gw = with()
      gw.auth_http:fail(URL, kind)
      local d = login(gw)
      assert.decision(d).is_tempfail { bug = false }
      assert.matches(log, d.log, 1, true)
    end
  end)

  it("has a second server, which is asked at once", function()
    local other = "http://127.0.0.2:9000/auth"
    local gw = with(nil, { urls = { URL, other } })
    gw.auth_http:fail(URL, "connect"):reply(other, { headers = { ["Auth-Status"] = "OK",
      ["Auth-Server"] = "10.0.0.9", ["Auth-Port"] = "143" } })
    assert.decision(login(gw)).is_accept()
    assert.same({ "0.000 auth_http " .. URL, "0.000 auth_http " .. other,
      "0.000 hook auth -> accept" }, trace(gw))
  end)

  it("takes its time, up to its timeout", function()
    local gw = with({ headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "10.0.0.9",
      ["Auth-Port"] = "143" } }, { url = URL, timeout = 3 })
    gw.auth_http:delay(2)
    assert.decision(login(gw)).is_accept()
    assert.equal(2, gw.clock.now)
    gw.auth_http:delay(4)
    assert.decision(login(gw)).is_tempfail()
    assert.equal(5, gw.clock.now)
  end)

  it("is mocked behind TLS as well", function()
    local url = "https://auth.example/auth"
    local gw = spec.policy { "auth_http", config = [[
      local c = require "moongate.config"
      return c.gateway {
        settings = { auth_http = { url = "https://auth.example/auth" } },
        tls_profiles = { default = { } },
        c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "auth_http" },
      }
    ]] }
    gw.auth_http:reply(url, { headers = { ["Auth-Status"] = "wrong", ["Auth-Wait"] = "0" } })
    assert.decision(login(gw)).is_reject { text = "wrong" }
  end)
end)

describe("a mock that raises", function()
  it("fails the test", function()
    local gw = auth "http.get 'http://a/' return moongate.accept()"
    gw.http:reply("http://a/", function() error "not like this" end)
    assert.error_matches(function() login(gw) end, "not like this", 1, true)
  end)
end)

describe("a reload", function()
  local TICK = [[
    local count = 0
    timer.every(1, "tick", function() count = count + 1 moongate.count "ticks" end)
    function P.auth(session)
      session.vars.seen = (session.vars.seen or 0) + 1
      return say("%s" .. count .. " " .. session.vars.seen .. " " .. session.generation)
    end]]

  local function policy(text) return HEAD .. text .. "\nreturn P, say, modules" end

  it("ends timers and upvalues, and keeps vars", function()
    local gw = gateway(TICK:format "one ", { listener = "limits = { attempts = 9 }" })
    local session = gw:session()
    gw.clock:advance(5)
    assert.decision(session:login("a", "b")).is_reject { reason = "one 5 1 1" }
    assert.is_true(gw:reload { ["scripts/p.lua"] = policy(TICK:format "two ") })
    assert.decision(session:login("a", "b")).is_reject { reason = "two 0 2 1" }
    gw.clock:advance(3)
    assert.decision(session:login("a", "b")).is_reject { reason = "two 3 3 2" }
    assert.equal(8, gw:counter "ticks") -- counters outlive generations
  end)

  for title, case in pairs {
    ["a syntax error"] = { "return {", "scripts/p.lua:1: " },
    ["an unknown hook"] = { "return { atuh = print }", "scripts/p.lua:1: .*atuh" },
    ["an error at the top"] = { "\nerror 'boom'", "scripts/p.lua:2: boom" },
    ["an init that fails"] = { "return { init = function()\n error 'later' end }",
      "scripts/p.lua:1: init: .*p.lua:2: later" },
  } do
    it("with " .. title .. " changes nothing", function()
      local gw = gateway(TICK:format "")
      local ok, errors = gw:reload { ["scripts/p.lua"] = case[1] }
      assert.is_nil(ok)
      assert.matches(case[2], errors)
      gw.clock:advance(2)
      assert.decision(login(gw)).is_reject { reason = "2 1 1" }
      assert.is_true(gw:reload())
      assert.decision(login(gw)).is_reject { reason = "0 1 2" }
    end)
  end
end)

describe("the author's project", function()
  local top

  setup(function()
    top = io.popen("mktemp -d /tmp/moongate-project.XXXXXX"):read "*l"
    os.execute(("mkdir -p %s/scripts %s/more"):format(top, top))
    for name, text in pairs {
      ["scripts/mine.lua"] = [[
        local moongate, words = require "moongate", require "words"
        return { auth = function()
          return moongate.reject { reason = words .. moongate.settings("mine",
            { key = { type = "string", default = "none" } }).key } end }]],
      ["scripts/words.lua"] = "return \"words \"",
      ["more/other.lua"] = [[local moongate = require "moongate"
        return { auth = function() return moongate.reject { reason = "other" } end }]],
      ["moongate.lua"] = [[
local c = require "moongate.config"

return c.gateway {
  settings = { mine = { key = "set" } },
  c.listen "a" { address = "127.0.0.1:0", protocol = "pop3", policy = "mine" },
}
]],
    } do
      local file = assert(io.open(top .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
  end)
  teardown(function() os.execute("rm -rf " .. top) end)

  local function reason(options) return login(spec.policy(options)).reason end

  it("gives policies by their path, with what lies beside them", function()
    assert.equal("words none", reason { top .. "/scripts/mine" })
    assert.equal("words none", reason { top .. "/scripts/mine.lua" })
    assert.equal("other", reason { top .. "/more/other" })
  end)

  it("gives a whole configuration", function()
    local gw = spec.policy { config = top .. "/moongate.lua" }
    local d = gw:session { protocol = "pop3" }:login("a", "b")
    assert.decision(d).is_reject { reason = "words set" }
  end)

  it("and policies in the place of its own", function()
    local config = top .. "/moongate.lua"
    assert.equal("words set", spec.policy { top .. "/scripts/mine", config = config }
      :session { protocol = "pop3" }:login("a", "b").reason)
    assert.equal("other", spec.policy { top .. "/more/other", config = config }
      :session { protocol = "pop3" }:login("a", "b").reason)
  end)

  it("has environments", function()
    os.execute(("mkdir -p %s/env"):format(top))
    local file = assert(io.open(top .. "/env/staging.lua", "w"))
    file:write "return { settings = { mine = { key = \"staged\" } } }"
    file:close()
    local gw = spec.policy { config = top .. "/moongate.lua", environment = "staging" }
    assert.equal("words staged", gw:session { protocol = "pop3" }:login("a", "b").reason)
    assert.is_nil((spec.open { config = top .. "/moongate.lua", environment = "none" }))
  end)

  it("is told by its own lines when it is wrong, and never written to", function()
    local _, errors = spec.open { "nope", config = top .. "/moongate.lua" }
    assert.matches("^moongate.lua:5: ", errors)
    local gw = spec.policy { config = top .. "/moongate.lua", files = {
      ["scripts/words.lua"] = "return \"changed \"" } }
    assert.equal("changed set", gw:session { protocol = "pop3" }:login("a", "b").reason)
    assert.equal("return \"words \"", io.open(top .. "/scripts/words.lua"):read "*a")
  end)
end)
