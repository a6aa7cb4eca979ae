--- A reload takes the gateway from one generation to the next, in all workers or in none.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local socket = require "socket"
local upstream = require "spec.support.upstream"

local POLICY = [[
local moongate = require "moongate"
local word = %q
return {
  auth = function(session, credentials)
    if not credentials.password:equals(word) then
      return moongate.reject { reason = "bad-credentials" }
    end
    session.vars.word = word
    return moongate.accept { upstream = %q }
  end,
  closed = function(session)
    session:log("info", "closed", { began = session.vars.word, ended = word })
  end,
}
]]

local function listener(name, more)
  return ('  c.listen %q { address = "127.0.0.1:0", protocol = "imap", policy = "open", %s },\n')
    :format(name, more or "")
end

local function configuration(workers, listeners, more)
  return ('local c = require "moongate.config"\nreturn c.gateway {\n  workers = %d,\n  %s\n%s}\n')
    :format(workers, more or "", table.concat(listeners))
end

local up, g

local function start(workers, more)
  up = upstream.start { script = upstream.imap() }
  g = gateway.start { files = {
    ["moongate.lua"] = configuration(workers or 2, { listener "imap" }, more),
    ["scripts/open.lua"] = POLICY:format("one", up.address),
  } }
end

local function stop()
  up:stop() -- relayed sessions end with it
  g:stop()
end

--- Logs in as anybody; whether that went well, and the client.
local function login(password, port)
  local c = client.connect(port or g.ports.imap)
  c:expect "^%* OK"
  c:send_line("a LOGIN ann " .. password)
  return c:expect_until "^a (%u+)", c
end

local function can_login(password)
  local answer, c = login(password)
  c:close()
  return answer == "OK"
end

describe("a reload", function()
  before_each(function() start() end)
  after_each(stop)

  it("changes policies, in every worker, and no session notices", function()
    local answer, old = login "one"
    assert.equal("OK", answer)
    local silent = client.connect(g.ports.imap)
    silent:expect "^%* OK"
    g:write("scripts/open.lua", POLICY:format("two", up.address))
    assert.equal(2, g:reload())
    for _ = 1, 12 do assert.is_true(can_login "two") end
    assert.is_false(can_login "one")

    old:send_line("b NOOP"):expect "^b OK"
    old:close()
    local id = g:session_of(old).session
    local line = g:expect_log(id .. ": closed ([^\n]*)\n")
    assert.matches('began="one"', line)
    assert.matches('ended="two"', line)
    -- One that was connected before, and logs in after.
    silent:send_line("a LOGIN ann two"):expect_until "^a OK"
    silent:close()
    assert.equal("2", g:session_of(silent).generation)
  end)

  it("adds listeners, and takes them away", function()
    g:write("moongate.lua", configuration(2, { listener "imap", listener "second" }))
    local port = g.ports.imap
    assert.equal(2, g:reload())
    assert.equal(port, g.ports.imap)
    local answer, c = login("one", g.ports.second)
    assert.equal("OK", answer)
    local gone = g.ports.second
    g:write("moongate.lua", configuration(2, { listener "imap" }))
    assert.equal(3, g:reload())
    assert.is_nil(g.ports.second)
    processes.eventually(function() -- once each worker has let go of it
      local late = socket.connect("127.0.0.1", gone)
      if late then late:close() end
      return not late
    end, 10)
    c:send_line("b NOOP"):expect "^b OK" -- a relayed session stays
    c:close()
    assert.is_true(can_login "one")
  end)

  it("changes limits for who logs in from then on", function()
    local silent = client.connect(g.ports.imap)
    silent:expect "^%* OK"
    g:write("moongate.lua", configuration(2, { listener("imap", "limits = { attempts = 1 }") }))
    assert.equal(2, g:reload())
    silent:send_line("a LOGIN ann wrong"):expect_until "^a NO"
    silent:expect_until "^%* BYE"
    silent:expect_end "eof"
    assert.equal("too_many_attempts", g:session_of(silent)["end"])
  end)

  it("changes what is logged", function()
    g:write("moongate.lua", configuration(2, { listener "imap" }, 'log = { format = "json" },'))
    assert.equal(2, g:reload())
    assert.is_true(can_login "one")
    assert.matches('"listener":"imap"', (g:expect_log '({"time"[^\n]*"end"[^\n]*)'))
  end)
end)

describe("a reload that is refused changes nothing", function()
  setup(function() start() end)
  teardown(stop)

  local generation = 1

  local function refused(pattern)
    local number, log = g:reload()
    assert.is_nil(number)
    assert.matches(pattern, log)
    assert.matches(("generation %d goes on"):format(generation), log)
    assert.is_true(can_login "one")
    assert.is_false(can_login "two")
  end

  local function restore()
    g:write("moongate.lua", configuration(2, { listener "imap" }))
    g:write("scripts/open.lua", POLICY:format("one", up.address))
  end
  after_each(restore)

  it("for bad syntax, with file and line", function()
    g:write("scripts/open.lua", "\nreturn { auth = ")
    refused "scripts/open%.lua:2: "
  end)

  it("for an unknown hook", function()
    g:write("scripts/open.lua", "return {\n  atuh = function() end,\n}\n")
    refused "scripts/open%.lua:%d: .*atuh"
  end)

  it("for a mistake in the configuration", function()
    g:write("moongate.lua", configuration(2, { listener("imap", "limit = {}") }))
    refused 'moongate%.lua:5: listen "imap": limit: unknown key %(did you mean "limits"%?%)'
  end)

  it("for an init that fails in the workers", function()
    g:write("scripts/open.lua", [[
local moongate = require "moongate"
return { init = function() moongate.sleep(0.01) error "the table is empty" end }
]])
    refused "scripts/open%.lua:2: init: .*the table is empty"
  end)

  it("for an address that is in use", function()
    local taken = assert(socket.bind("127.0.0.1", 0))
    local port = select(2, taken:getsockname())
    local new = listener "new":gsub("127.0.0.1:0", "127.0.0.1:" .. port)
    g:write("moongate.lua", configuration(2, { listener "imap", new }))
    refused('listen "new": bind 127%.0%.0%.1:' .. port .. ": Address already in use")
    taken:close()
  end)

  it("for what can't change while the gateway runs", function()
    g:write("moongate.lua", configuration(3, { listener "imap" }, 'resolver = "127.0.0.1",'))
    local _, log = g:reload()
    assert.matches("workers: 2 %-> 3: needs a restart", log)
    assert.matches("resolver: needs a restart", log)
    g:write("moongate.lua", configuration(2, { listener "imap" }, "resolver = { valid = 5 },"))
    _, log = g:reload()
    assert.matches("resolver: needs a restart", log)
  end)

  it("when a worker dies meanwhile", function()
    g:write("scripts/open.lua", [[
local moongate = require "moongate"
return { init = function()
  moongate.log("info", "preparing")
  moongate.sleep(20)
end }
]])
    signal.kill(g.process.pid, signal.SIGHUP)
    g:expect_log "preparing.*(preparing)"
    signal.kill(processes.children(g.process.pid)[1], signal.SIGKILL)
    g:expect_log "worker %d (died meanwhile)"
    g:expect_log "worker %d (is) back"
    restore()
    assert.is_true(can_login "one")
    generation = g:reload() -- and the next one goes well
    assert.is_number(generation)
    for _ = 1, 10 do assert.is_true(can_login "one") end
  end)
end)

describe("a login that is under way at a reload", function()
  local WAITING = [[
local moongate = require "moongate"
local socket = require "moongate.socket"
return {
  auth = function(session, credentials)
    local gate = socket.tcp()
    assert(gate:connect("127.0.0.1", %d))
    assert(gate:receive "*l")
    return moongate.accept {}
  end,
  route = function() return moongate.to { address = %q } end,
}
]]

  it("is decided by the generation that it began with, to its end", function()
    local gate = upstream.start { script = function() end }
    up = upstream.start { script = upstream.imap() }
    g = gateway.start { files = {
      ["moongate.lua"] = configuration(1, { listener "imap" }),
      ["scripts/open.lua"] = WAITING:format(gate.port, up.address),
    } }
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann one"
    gate:peer(1)
    g:write("scripts/open.lua", "return { route = function() error 'not asked' end }")
    assert.equal(2, g:reload())
    gate:peer(1):send "go on\r\n"
    c:expect_until "^a OK"
    c:close()
    assert.equal("1", g:session_of(c).generation)
    stop()
    gate:stop()
  end)

  it("is failed for the moment when it takes too long after it", function()
    local gate = upstream.start { script = function() end }
    up = upstream.start { script = upstream.imap() }
    local more = "limits = { hook_timeout = 1 }"
    g = gateway.start { files = {
      ["moongate.lua"] = configuration(1, { listener("imap", more) }),
      ["scripts/open.lua"] = WAITING:format(gate.port, up.address),
    } }
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann one"
    gate:peer(1)
    g:write("scripts/open.lua", POLICY:format("two", up.address))
    assert.equal(2, g:reload())
    c:expect_until "^a NO %[UNAVAILABLE%]"
    c:send_line("b LOGIN ann two"):expect_until "^b OK" -- by the new one
    c:close()
    stop()
    gate:stop()
  end)
end)

describe("timers", function()
  it("tick once across reloads, and those of before end", function()
    local policy = [[
local moongate = require "moongate"
local timer = require "moongate.timer"
local name = %q
timer.every(0.05, "tick", function() moongate.log("info", "tick of " .. name) end)
timer.every(0.05, "slow", function()
  moongate.log("info", "slow begins in " .. name)
  moongate.sleep(3600)
end, { budget = 3600 })
return {}
]]
    g = gateway.start { files = {
      ["moongate.lua"] = configuration(1, { listener "imap" }),
      ["scripts/open.lua"] = policy:format "first",
    } }
    g:expect_log "slow begins in first"
    g:write("scripts/open.lua", policy:format "second")
    assert.equal(2, g:reload())
    g:expect_log "tick of second.*tick of second.*tick of second"
    local from = g:log():find("tick of second", 1, true)
    assert.is_nil(g:log():find("tick of first", from, true))
    g:stop()
  end)
end)

describe("a generation on probation", function()
  it("goes back by itself when its policies fail for their own mistakes", function()
    start(1)
    g:write("scripts/open.lua", [[
return { auth = function(session) return session.nothing.at.all end }
]])
    assert.equal(2, g:reload())
    for _ = 1, 25 do assert.is_false(can_login "one") end
    g:expect_log("probation: (generation 3) serves", 20)
    assert.matches("generation 2: %d+ of %d+ hooks failed for a mistake", g:log())
    assert.is_true(can_login "one")
    stop()
  end)
end)

describe("watch", function()
  it("reloads when a file has changed", function()
    start(1, "watch = true,")
    g:write("scripts/open.lua", POLICY:format("two", up.address))
    g:expect_log("reload: (generation 2) serves", 20)
    assert.is_true(can_login "two")
    stop()
  end)
end)

describe("canary_init", function()
  it("runs init before any worker does", function()
    start(1, "canary_init = true,")
    g:write("scripts/open.lua", [[
local moongate = require "moongate"
return { init = function()
  moongate.sleep(0.01)
  error "no"
end }
]])
    local number, log = g:reload()
    assert.is_nil(number)
    assert.matches("open%.lua:2: init: .*no", log)
    stop()
  end)
end)
