--- What workers share by moongate.shared: exact sums, reloads, workers that are killed, leases.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local upstream = require "spec.support.upstream"

local WORKERS = 4

--- What a login does is told by its user: "incr.25" adds 25 times, "hold.2" takes one of two
-- places.
local POLICY = [[
local moongate = require "moongate"
local d = require "moongate.shared".get "limits"
local word, logins = %q, 0

local does = {}

function does.incr(times)
  for _ = 1, times do assert(d:incr "n") end
  logins = logins + 1
  return logins .. " " .. word
end

function does.forever()
  for i = 1, math.huge do
    assert(d:incr "busy")
    assert(d:set("key" .. i %% 5000, ("v"):rep(i %% 500), 0.05))
    if i %% 100 == 0 then moongate.sleep(0) end
  end
end

--- The first of what was written.
function does.fill(times)
  for i = 1, times do
    assert(d:set("fill" .. i, ("v"):rep(500), 1000))
    if i %% 100 == 0 then moongate.sleep(0) end
  end
  return tostring(d:get "fill1")
end

function does.get(key)
  local value, err = d:get(key)
  return tostring(err or value)
end

function does.leased(key) return tostring(d:leased(key)) end

return {
  auth = function(session, credentials)
    local verb, argument = credentials.user:match "^(%%a+)%%.(%%w+)$"
    if verb == "hold" then
      local held, err = d:lease("place", tonumber(argument), session)
      if held then return moongate.accept { upstream = %q } end
      return err and moongate.tempfail { log = err }
        or moongate.reject { reason = "too-many", text = "none left" }
    end
    return moongate.reject { text = does[verb](tonumber(argument) or argument) }
  end,
}
]]

local function configuration(shared)
  return ([[
    local c = require "moongate.config"
    return c.gateway {
      workers = %d, shared = { %s },
      c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "shares" },
    }]]):format(WORKERS, shared)
end

describe("workers that share a table", function()
  local up, g

  setup(function()
    up = upstream.start { script = upstream.imap() }
    g = gateway.start { files = {
      ["moongate.lua"] = configuration 'limits = "1m"',
      ["scripts/shares.lua"] = POLICY:format("one", up.address),
    } }
  end)
  after_each(client.discard_all)
  teardown(function()
    up:stop()
    g:stop()
  end)

  local function begin(what)
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    return c:send_line("a LOGIN " .. what .. " x")
  end

  local function ask(what)
    local c = begin(what)
    local text = c:expect "^a NO %S+ (.*)$"
    c:discard()
    return text
  end

  --- Adds to "n" in as many sessions at once; how many workers took part, and their words.
  local function add(sessions, times)
    local clients, first, words = {}, 0, {}
    for i = 1, sessions do clients[i] = begin("incr." .. times) end
    for _, c in ipairs(clients) do
      local count, word = c:expect "^a NO %S+ (%d+) (%w+)$"
      if count == "1" then first = first + 1 end
      words[word] = true
      c:discard()
    end
    return first, words
  end

  --- Kills the oldest, and waits for the one in its place.
  local function kill_one()
    signal.kill(processes.children(g.process.pid)[1], signal.SIGKILL)
    local count = select(2, g:log():gsub("worker %d+ is back", ""))
    g:expect_log(("worker %d+ is back.*"):rep(count) .. "(worker %d+ is back)")
  end

  it("add up exactly, over a reload and the end of a worker", function()
    assert.is_true(add(60, 25) > 1)
    assert.equal("1500", ask "get.n")
    g:write("scripts/shares.lua", POLICY:format("two", up.address))
    assert.equal(2, g:reload())
    assert.equal("1500", ask "get.n")
    local first, words = add(60, 25)
    assert.is_true(first > 1)
    assert.same({ two = true }, words)
    assert.equal("3000", ask "get.n")
    kill_one()
    assert.equal("3000", ask "get.n")
  end)

  it("go on when one has stopped", function()
    local n = tonumber(ask "get.n")
    local stopped = processes.children(g.process.pid)[1]
    processes.freeze(stopped)
    add(20, 10) -- its clients are another's, after a moment
    assert.equal(tostring(n + 200), ask "get.n")
    signal.kill(stopped, signal.SIGCONT)
  end)

  it("go on when the table is full", function()
    local n = tonumber(ask "get.n")
    assert.equal("nil", ask "fill.5000") -- more than there is room for
    add(20, 10)
    assert.equal(tostring(n + 200), ask "get.n")
  end)

  it("go on when one is killed in the midst of using it", function()
    for _ = 1, 3 do
      for _ = 1, 8 do begin "forever.1" end
      processes.eventually(function() return ask "get.busy" ~= "nil" end, 20)
      kill_one()
      local before = tonumber(ask "get.busy")
      begin "forever.1"
      processes.eventually(function() return tonumber(ask "get.busy") > before end, 20)
    end
    client.discard_all()
    local n = tonumber(ask "get.n")
    add(20, 10)
    assert.equal(tostring(n + 200), ask "get.n")
  end)

  --- Takes a place; whether there was one, and the client.
  local function hold(limit)
    local c = begin("hold." .. limit)
    local answer, text = c:expect "^a (%u+) (.*)$"
    if answer == "NO" then
      assert.matches("none left", text)
      c:discard()
    end
    return answer == "OK", c
  end

  local function await_leased(count)
    processes.eventually(function() return ask "leased.place" == tostring(count) end, 20)
  end

  it("give places back when their sessions end, and when a worker is killed", function()
    local held = {}
    for i = 1, 12 do
      local fine, c = hold(12)
      assert.is_true(fine)
      held[i] = c
    end
    assert.is_false((hold(12)))
    assert.equal("12", ask "leased.place")
    held[1]:close()
    held[2]:reset()
    await_leased(10)
    assert.is_true((hold(11)))
    assert.is_false((hold(11)))
    g:reload()
    assert.equal("11", ask "leased.place")
    for _ = 1, WORKERS do kill_one() end
    await_leased(0)
  end)

  it("keep what they have: another size or table needs a restart", function()
    for name, shared in pairs { limits = 'limits = "2m"', more = 'limits = "1m", more = "1m"' } do
      g:write("moongate.lua", configuration(shared))
      local number, said = g:reload()
      assert.is_nil(number)
      assert.matches(("shared.%s: needs a restart"):format(name), said)
    end
    g:write("moongate.lua", configuration "")
    local _, said = g:reload()
    assert.matches('shares.lua:2: [^\n]*`shared` has no "limits"', said)
    assert.is_true(tonumber(ask "get.n") > 0)
  end)
end)
