--- Gateways that share a table in Redis: places are exact, and come back when a worker, a gateway
-- or Redis itself is killed.
local client = require "spec.support.client"
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

--- "many" takes a token of a bucket that gets hardly any, "count" says how many places of "ann" are
-- held, others take one.
local POLICY = [[
local moongate, limit = require "moongate", require "moongate.limit"
local bucket = limit.bucket { dict = "limits", rate = "1/d", burst = %d }
local places = limit.concurrent { dict = "limits", limit = %d }

return {
  auth = function(session, credentials)
    local taken, err
    if credentials.user == "count" then
      return moongate.reject { text = tostring(places:held "ann") }
    elseif credentials.user == "many" then
      taken, err = bucket:take(credentials.user)
    else
      taken, err = places:take(credentials.user, session)
    end
    if taken == nil then return moongate.tempfail { log = err } end
    if not taken then return moongate.reject { reason = "rate-limited", text = "no more" } end
    return moongate.accept { upstream = %q }
  end,
}
]]

describe("gateways that share a table in Redis", function()
  local up, server, one, two

  local function start()
    return gateway.start { files = { ["moongate.lua"] = CONFIG:format(WORKERS, server.url, "10"),
      ["scripts/limits.lua"] = POLICY:format(BURST, PLACES, up.address) } }
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

  --- Logs in so often at each of `gateways` at once: the connections that were let in, and how many
  -- were not.
  local function crowd(user, gateways)
    local all, admitted, refused = {}, {}, 0
    for _ = 1, LOGINS do
      for _, gw in ipairs(gateways) do
        local c = client.connect(gw.ports.imap)
        c.gateway = gw
        all[#all + 1] = c
      end
    end
    for _, c in ipairs(all) do c:expect "^%* OK" end
    for _, c in ipairs(all) do c:send_line("a LOGIN " .. user .. " x") end
    for _, c in ipairs(all) do
      local answer = c:expect_until("^(a .*)$", 60)
      if answer:match "^a OK" then
        admitted[#admitted + 1] = c
      else
        assert.equal("a NO [LIMIT] no more", answer)
        refused = refused + 1
      end
    end
    return admitted, refused
  end

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
    local admitted, refused = crowd("ann", { one, two })
    assert.same({ PLACES, 2 * LOGINS - PLACES }, { #admitted, refused })
    assert.equal(PLACES, held(one))
    for _, c in ipairs(admitted) do c:discard() end
    await_held(two, 0, 20)
    admitted, refused = crowd("many", { one, two })
    assert.same({ BURST, 2 * LOGINS - BURST }, { #admitted, refused })
  end)

  it("have the places of workers back that were killed", function()
    local admitted = crowd("ann", { one, two })
    local left = count_of(two, admitted)
    assert.is_true(left < PLACES)
    for _, pid in ipairs(processes.children(one.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    await_held(two, left, SOON)
    assert.equal("OK", (begin(one, "ann"):expect("^a (%u+)", 20)))
  end)

  it("have the places of a gateway back that was killed", function()
    local admitted = crowd("ann", { one, two })
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
    crowd("ann", { one })
    assert.equal(2, one:reload())
    assert.equal(PLACES, held(one))
    assert.matches("^a NO", begin(two, "ann"):expect("^(a .*)$", 20))
    client.discard_all()
    await_held(two, 0, 20)
  end)

  it("count anew what is held when Redis has lost everything", function()
    local admitted = crowd("ann", { one, two })
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
    local function log_in()
      local i, p, s = client.connect(one.ports.imap), client.connect(one.ports.pop3),
        client.connect(one.ports.smtp)
      i:expect "^%* OK"
      p:expect "^%+OK"
      s:expect "^220"
      i:send_line "a LOGIN ann secret"
      p:send_line("USER ann"):expect "^%+OK"
      p:send_line "PASS secret"
      s:send_line("EHLO spec"):expect_until "^250 "
      s:send_line("AUTH PLAIN " .. client.plain("ann", "secret"))
      return i, p, s
    end
    local function expect_tempfail(i, p, s)
      i:expect("^a NO %[UNAVAILABLE%]", 30)
      p:expect("^%-ERR %[SYS/TEMP%]", 30)
      s:expect("^454 4%.7%.0", 30)
    end

    server:cli("CLIENT", "PAUSE", 100000, "WRITE") -- so that all three wait for it
    local i, p, s = log_in()
    server:wait("somebody to ask Redis", { "CLIENT", "LIST" }, "flags=b ")
    server:kill()
    expect_tempfail(i, p, s)
    expect_tempfail(log_in()) -- while it is away
    server:run()
    begin(one, "ann"):expect("^a OK", 20)
  end)
end)
