--- A worker that is stopped, by a debugger or an operator, while it has the lock of a shared table:
-- the others go on without it.
local client = require "spec.support.client"
local ffi = require "ffi"
local gateway = require "spec.support.gateway"
local preload = require "spec.support.preload"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local upstream = require "spec.support.upstream"

local WORKERS = 3
local HELD, LEAVING, LOGINS = 40, 10, 30

--- As in support/stop_inside.c; and whether what the worker was at is done.
local PLACES = {
  { name = "when it has just taken it", number = 1, done = 0 },
  { name = "before the commit", number = 2, done = 0 },
  { name = "after the commit", number = 3, done = 1 },
}

--- "in" takes a place and is let in; the others are refused with what they ask for.
local POLICY = [[
local moongate = require "moongate"
local d = require "moongate.shared".get "limits"

local does = {}

function does.bump() return d:incr "bumps" end
function does.bumps() return d:incr("bumps", 0) end
function does.places() return d:leased "place" end
function does.logins() return d:incr("logins", 0) end

does["in"] = function(session)
  local held, err = d:lease("place", 1000, session)
  if held then held, err = d:incr "logins" end
  return held, err
end

return {
  auth = function(session, credentials)
    local value, err = does[credentials.user](session)
    if err then return moongate.tempfail { log = "shared: " .. err } end
    if credentials.user == "in" then return moongate.accept { upstream = %q } end
    return moongate.reject { text = tostring(value) }
  end,
}
]]

local CONFIGURATION = [[
local c = require "moongate.config"
return c.gateway {
  workers = %d, shared = { limits = "1m" },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "shares" },
}]]

describe("a worker that is stopped with a table's lock", function()
  local up, g, folder, prefix, path

  setup(function()
    folder = assert(stdlib.mkdtemp "/tmp/moongate-stopped-XXXXXX")
    prefix, path = preload.build(folder, "stop_inside", 8)
  end)
  before_each(function() up = upstream.start { script = upstream.imap() } end)
  after_each(function()
    client.discard_all()
    up:stop() -- which ends what is relayed
    g:stop()
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local function start(workers)
    g = gateway.start { prefix = prefix, files = {
      ["moongate.lua"] = CONFIGURATION:format(workers),
      ["scripts/shares.lua"] = POLICY:format(up.address),
    } }
  end

  local function workers() return processes.children(g.process.pid) end

  --- Has the next worker that gets to a place stop there.
  local function stop_next_at(place)
    local file = assert(io.open(path, "r+"))
    file:write(ffi.string(ffi.new("int32_t[2]", place.number, 0), 8))
    file:close()
  end

  --- The process that has stopped.
  local function await_stopped()
    return processes.eventually(function()
      local file = assert(io.open(path))
      local told = ffi.new "int32_t[2]"
      ffi.copy(told, file:read(8), 8)
      file:close()
      local status = told[1] ~= 0 and processes.status(told[1])
      return status and status.State:match "^T" and told[1]
    end, 20)
  end

  local function begin(user)
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    return c:send_line("a LOGIN " .. user .. " x")
  end

  --- The number that it asks for; nil if that can't be had for now.
  local function ask(user)
    local c = begin(user)
    local text = c:expect "^a NO (.*)$"
    c:discard()
    return tonumber(text:match "^%S+ (%d+)$")
      or assert(text:match "^%[UNAVAILABLE%]" and nil, text)
  end

  --- A client that is let in; nil if that can't be had for now.
  local function log_in()
    local c = begin "in"
    local answer = c:expect "^a (.*)$"
    if answer:match "^OK" then return c end
    assert.matches("^NO %[UNAVAILABLE%]", answer)
    c:discard()
  end

  local function log_in_all(count)
    local clients = {}
    processes.eventually(function()
      table.insert(clients, (log_in()))
      return #clients == count
    end, 30)
    return clients
  end

  --- What remains open of them.
  local function open_of(clients)
    local open = 0
    for _, c in ipairs(clients) do open = open + (c.ended and 0 or 1) end
    return open
  end

  local function remove(list, one)
    for i, other in ipairs(list) do
      if other == one then table.remove(list, i) end
    end
    return list
  end

  --- It is ended, the log says why, and there is another in its place.
  local function expect_replaced(stopped)
    local worker = (" error %%[%%d+%%] worker (%%d+) %%(%d%%): "):format(stopped)
    local number =
      g:expect_log(worker .. "killed: it kept shared.limits locked for a second\n", 20)
    g:expect_log(("killed: .*(worker %s is back)\n"):format(number), 20)
  end

  for _, place in ipairs(PLACES) do
    it("is replaced, and logins go on: " .. place.name, function()
      start(WORKERS)
      local held = log_in_all(HELD)
      local before = workers()
      stop_next_at(place)
      begin "bump"
      local stopped = await_stopped()
      for i = 1, LEAVING do held[i]:close() end -- their workers can't give the places back now
      local more = log_in_all(LOGINS)
      expect_replaced(stopped)

      assert.equal(place.done, ask "bumps")
      assert.equal(HELD + LOGINS, ask "logins")
      processes.eventually(function()
        return ask "places" == open_of(held) + open_of(more)
      end, 20)
      assert.is_true(open_of(held) < HELD - LEAVING and open_of(held) > 0)
      assert.equal(LOGINS, open_of(more))
      local after = workers()
      assert.equal(WORKERS, #after)
      table.remove(after) -- the newest
      assert.same(remove(before, stopped), after)
    end)
  end

  it("is replaced when it was only about to start, too", function()
    start(1)
    assert.equal(0, ask "bumps")
    stop_next_at(PLACES[2])
    signal.kill(workers()[1], signal.SIGKILL)
    expect_replaced(await_stopped())
    assert.equal(1, ask "bump")
  end)
end)
