--- Gateways that share a table in Redis: places are exact, and come back when a worker, a gateway
-- or Redis itself is killed.
local client = require "spec.support.client"
local crowd = require "spec.support.crowd"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local redis = require "spec.support.redis"
local signal = require "posix.signal"
local upstream = require "spec.support.upstream"

local WORKERS, LOGINS, PLACES, BURST = 4, 250, 20, 30
local SOON = 10 -- seconds until what a process held that was killed is back

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = %d, shared = { limits = { store = %q, timeout = %s } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "limits" },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = "limits" },
  c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", policy = "limits" },
}]]

describe("gateways that share a table in Redis", function()
  local up, server, one, two

  local function start()
    return gateway.start { files = { ["moongate.lua"] = CONFIG:format(WORKERS, server.url, "10"),
      ["scripts/limits.lua"] = crowd.policy {
        burst = BURST, places = PLACES, upstream = up.address } } }
  end

  setup(function()
    up = upstream.start { script = upstream.imap() }
    server = redis.start()
  end)
  before_each(function()
    server:cli "FLUSHALL"
    server:cli("CONFIG", "RESETSTAT")
    one, two = start(), start()
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    one:stop()
    two:stop()
  end)
  teardown(function()
    up:stop()
    server:stop()
  end)

  local function begin(gw, user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line("a LOGIN " .. user .. " x")
  end

  local function log_in(user, gateways) return crowd.log_in(user, LOGINS, gateways) end

  local function held(gw)
    local c = begin(gw, "count")
    local text = c:expect("^a NO %S+ (.*)$", 20)
    c:discard()
    return tonumber(text)
  end

  local function await_held(gw, count, seconds)
    processes.eventually(function() return held(gw) == count end, seconds)
  end

  local function count_of(gw, connections)
    local count = 0
    for _, c in ipairs(connections) do
      if c.gateway == gw then count = count + 1 end
    end
    return count
  end

  it("admit exactly as many as there are places, and as the burst allows", function()
    local admitted, refused = log_in("ann", { one, two })
    assert.same({ PLACES, 2 * LOGINS - PLACES }, { #admitted, refused })
    assert.equal(PLACES, held(one))
    for _, c in ipairs(admitted) do c:discard() end
    await_held(two, 0, 20)
    admitted, refused = log_in("many", { one, two })
    assert.same({ BURST, 2 * LOGINS - BURST }, { #admitted, refused })
  end)

  it("have the places of workers back that were killed", function()
    local admitted = log_in("ann", { one, two })
    local left = count_of(two, admitted)
    assert.is_true(left < PLACES)
    for _, pid in ipairs(processes.children(one.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    await_held(two, left, SOON)
    assert.equal("OK", (begin(one, "ann"):expect("^a (%u+)", 20)))
  end)

  it("have the places of a gateway back that was killed", function()
    local admitted = log_in("ann", { one, two })
    local left = count_of(two, admitted)
    processes.freeze(one.process.pid) -- so that it starts no worker again
    for _, pid in ipairs(processes.children(one.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    one.process:stop(signal.SIGKILL)
    await_held(two, left, SOON)
    one:run()
    assert.equal(left, held(one))
  end)

  it("keep them over a reload", function()
    log_in("ann", { one })
    assert.equal(2, one:reload())
    assert.equal(PLACES, held(one))
    assert.matches("^a NO", begin(two, "ann"):expect("^(a .*)$", 20))
    client.discard_all()
    await_held(two, 0, 20)
  end)

  it("count anew what is held when Redis has lost everything", function()
    local admitted = log_in("ann", { one, two })
    assert.equal(PLACES, #admitted)
    server:kill()
    server:run()
    await_held(one, PLACES, 30)
    assert.matches("^a NO %[LIMIT%]", begin(two, "ann"):expect("^(a .*)$", 20))
    for _, c in ipairs(admitted) do c:discard() end
    await_held(two, 0, 20)
  end)

  it("give a place back that was taken for a client who has left meanwhile", function()
    server:cli("CLIENT", "PAUSE", 100000, "WRITE")
    local c = begin(one, "ann")
    server:wait("the place to be asked for", { "CLIENT", "LIST" }, "flags=b ")
    c:reset()
    one:await_ended(1, 20)
    server:cli("CLIENT", "UNPAUSE")
    server:wait("the place to be taken and given back", { "INFO", "commandstats" },
      "cmdstat_hincrby:calls=2,")
    assert.equal(0, held(two))
  end)

  it("tell a temporary failure when Redis is killed in the middle of a login", function()
    server:cli("CLIENT", "PAUSE", 100000, "WRITE") -- so that all three wait for it
    local i, p, s = crowd.greet(one)
    crowd.begin(i, p, s)
    server:wait("somebody to ask Redis", { "CLIENT", "LIST" }, "flags=b ")
    server:kill()
    crowd.expect_tempfail(i, p, s)
    i, p, s = crowd.greet(one) -- while it is away
    crowd.begin(i, p, s)
    crowd.expect_tempfail(i, p, s)
    server:run()
    begin(one, "ann"):expect("^a OK", 20)
  end)
end)
