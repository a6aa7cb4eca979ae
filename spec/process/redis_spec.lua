--- Redis servers with passwords, TLS, Sentinels and subscriptions, and what a reload does to their
-- connections.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local crowd = require "spec.support.crowd"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local redis = require "spec.support.redis"
local upstream = require "spec.support.upstream"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  tls_profiles = { default = { ca = %q }, },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "p" },
    limits = { attempts = 100, hook_timeout = 20 } },
}
]]

local POLICY = [[
local moongate = require "moongate"
local redis = require "moongate.redis"
local pool = redis.pool { %s }
local heard = {}
%s
return { auth = function(session, credentials)
  local value, err = pool:command("INCR", "logins")
  return moongate.reject { text = value and "did " .. value .. " " .. table.concat(heard, ",")
    or err.kind .. " " .. err }
end }
]]

describe("a Redis server", function()
  local authority, gw, open

  setup(function() authority = ca.new() end)
  teardown(function() authority:remove() end)
  before_each(function() open = {} end)
  after_each(function()
    client.discard_all()
    gw:stop(true)
    for _, server in ipairs(open) do server:stop() end
  end)

  local function server(options)
    open[#open + 1] = redis.start(options)
    return open[#open]
  end

  local function start(options, more)
    gw = gateway.start { files = {
      ["moongate.lua"] = CONFIG:format(authority.certificate),
      ["scripts/p.lua"] = POLICY:format(options, more or ""),
    } }
  end

  local function login()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann secret"
    local text = c:expect("^a NO %[AUTHENTICATIONFAILED%] (.*)$", 20)
    c:discard()
    return text
  end

  --- Logs in again and again, until the answer matches.
  local function login_until(pattern)
    local ends = loop.now() + 30
    local text = login()
    while not text:find(pattern) and loop.now() < ends do text = login() end
    assert.matches(pattern, text)
  end

  it("lets in who knows its password; another is told as an error, and no password is", function()
    local one = server { password = "p@ss/w0rd" }
    local url = one.url:gsub("//", "//:p%%%%40ss%%%%2Fw0rd@")
    start(("url = %q, database = 3"):format(url:gsub("%%%%", "%%")))
    assert.matches("did 1 ", login())
    assert.matches("db3:keys=1", one:cli("INFO", "keyspace"))

    gw:write("scripts/p.lua", POLICY:format(("url = %q, password = %q"):format(one.url,
      "wrongpassword"), ""))
    assert.equal(2, gw:reload())
    assert.matches("server redis redis://127.0.0.1:%d+/0: AUTH refused: WRONGPASS$", login())
    one:wait_connections(0)
    local log = gw:log()
    assert.matches("AUTH refused: WRONGPASS", log)
    assert.is_nil(log:find("wrongpassword", 1, true))
    assert.is_nil(log:find("w0rd", 1, true))
  end)

  it("is one of a user with a password", function()
    local one = server { more = "user gate on >gatepw ~* +@all" }
    start(("url = %q, user = \"gate\", password = \"gatepw\""):format(one.url))
    assert.matches("did 1 ", login())
    assert.matches("user=gate", one:cli("CLIENT", "LIST"))
  end)

  it("proves who it is by TLS, before it hears anything", function()
    local good = server { tls = authority:leaf { names = { "IP:127.0.0.1" } }, password = "pw" }
    start(("url = %q, password = \"pw\""):format(good.url))
    assert.matches("did 1 ", login())
    assert.matches("did 2 ", login())
    good:wait_connections(1)

    local other = server { tls = authority:leaf { names = { "DNS:elsewhere.test" } },
      password = "pw" }
    gw:write("scripts/p.lua", POLICY:format(("url = %q, password = \"pw\""):format(other.url), ""))
    assert.equal(2, gw:reload())
    assert.matches("^tls redis rediss://127.0.0.1:%d+/0: TLS: ", login())
    gw:write("scripts/p.lua", POLICY:format(
      ("url = %q, password = \"pw\", server_name = \"elsewhere.test\""):format(other.url), ""))
    assert.equal(3, gw:reload())
    assert.matches("did 1 ", login())
  end)

  it("keeps its connections over a reload that names it in the same way", function()
    local one = server()
    start(("url = %q"):format(one.url))
    login()
    local id = one:cli("CLIENT", "LIST", "TYPE", "normal"):match "id=(%d+)"
    gw:write("scripts/p.lua", POLICY:format(("url = %q, timeout = 2"):format(one.url), ""))
    assert.equal(2, gw:reload())
    login()
    assert.equal(id, one:cli("CLIENT", "LIST", "TYPE", "normal"):match "id=(%d+)")
    gw:write("scripts/p.lua", POLICY:format(("url = %q"):format(one.url .. "/1"), ""))
    assert.equal(3, gw:reload())
    login()
    one:wait("the old connection to be closed", { "CLIENT", "LIST" }, function(list)
      return not list:find("id=" .. id .. " ", 1, true)
    end)
    one:wait_connections(1)
  end)

  it("tells subscribers what is published, in order, and again after it was away", function()
    local one = server()
    start(("url = %q"):format(one.url), [[
pool:subscribe("kick", function(channel, message)
  if message == "slow" then moongate.sleep(0.05) end
  heard[#heard + 1] = channel .. "=" .. message
end)
pool:subscribe({ "mail.*" }, function(channel, message)
  heard[#heard + 1] = channel .. "=" .. message
  if message == "bad" then error "on purpose" end
end, { patterns = true })
]])
    local function subscribed()
      one:wait("the gateway to subscribe", { "PUBSUB", "NUMSUB", "kick" }, "^kick\n1$")
      one:wait("it to subscribe to patterns", { "PUBSUB", "NUMPAT" }, "^1$")
    end
    subscribed()
    one:cli("PUBLISH", "kick", "slow")
    one:cli("PUBLISH", "kick", "b")
    one:cli("PUBLISH", "kick", "c")
    login_until "kick=slow,kick=b,kick=c$"
    one:cli("PUBLISH", "mail.x", "bad")
    one:cli("PUBLISH", "mail.x", "d")
    login_until "mail.x=bad,mail.x=d$"
    one:kill()
    one:run()
    subscribed()
    one:cli("PUBLISH", "kick", "e")
    login_until "kick=e$"
    assert.equal(2, gw:reload())
    subscribed()
  end)

  it("is found by Sentinels, and followed to another one", function()
    local first = server { password = "pw" }
    local second = server { password = "pw", replica_of = first }
    first:wait("the replica to be in step", { "INFO", "replication" }, "state=online")
    local sentinel = redis.sentinel(first)
    open[#open + 1] = sentinel
    sentinel:wait("it to know the replica", { "SENTINEL", "replicas", "mail" },
      "127.0.0.1:" .. second.port)
    start(([[password = "pw", timeout = 3,
      sentinel = { addresses = { "127.0.0.1:1", %q }, name = "mail" } ]]):format(sentinel.address))
    assert.matches("did 1 ", login())
    assert.equal("1", first:cli("GET", "logins"))
    first:kill()
    sentinel.process:expect("(+switch%-master)", 30)
    login_until "^did "
    assert.matches("role:master", second:cli("INFO", "replication"))
  end)

  it("that no Sentinel knows is an error of its own", function()
    local one = server()
    local sentinel = redis.sentinel(one)
    open[#open + 1] = sentinel
    start(("sentinel = { addresses = { %q }, name = \"nobody\" }"):format(sentinel.address))
    assert.matches("^connect redis redis://nobody/0 %(by Sentinel%): asking a Sentinel", login())
  end)
end)

describe("a Redis server killed in the middle of a login", function()
  it("is a temporary failure in the words of each protocol", function()
    local server = redis.start()
    local imap = upstream.start { script = upstream.imap() }
    local gw = gateway.start { files = {
      ["moongate.lua"] = ([[
local c = require "moongate.config"
local CHAIN = { "ratelimit_sticky", "static" }
return c.gateway {
  workers = 1,
  settings = { ratelimit_sticky = { url = %q, timeout = 10, nodes = { %q } },
    static = { upstream = %q } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = CHAIN },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = CHAIN },
  c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", policy = CHAIN },
}
]]):format(server.url, imap.address, imap.address) } }
    finally(function()
      client.discard_all()
      gw:stop(true)
      imap:stop()
      server:stop()
    end)

    local i, p, s = crowd.greet(gw)
    server:cli("CLIENT", "PAUSE", 100000, "WRITE") -- so that all three wait for it
    crowd.begin(i, p, s)
    server:wait("all to ask Redis", { "CLIENT", "LIST" }, function(list)
      return select(2, list:gsub("flags=b ", "")) == 3
    end)
    server:kill()
    crowd.expect_tempfail(i, p, s)

    i, p, s = crowd.greet(gw) -- while it is away
    crowd.begin(i, p, s)
    crowd.expect_tempfail(i, p, s)
    assert.equal(0, #imap.peers)

    server:run()
    i, p, s = crowd.greet(gw)
    crowd.begin(i, p, s)
    loop.wait("the upstream to be asked", function() return #imap.peers > 0 end, 10)
  end)
end)
