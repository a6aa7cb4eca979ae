--- Generations that come, go and come back: orders in any number and order, and who is connected.
local client = require "spec.support.client"
local control = require "spec.support.control"
local json = require "cjson"
local signal = require "posix.signal"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
local moongate = require "moongate"
local timer = require "moongate.timer"
timer.every(1, "tick", function() moongate.log("info", "tick of %s") end)
return {
  connect = function(session) session.vars.greeted = "%s" end,
  auth = function(session, credentials)
    if not credentials.password:equals("%s") then
      return moongate.reject { reason = "bad-credentials" }
    end
    session:log("info", "login", { greeted = session.vars.greeted })
    return moongate.accept { upstream = "%s" }
  end,
}
]]

local path, up, g

--- The policy that lets in who has `word` as password.
local function policy(word) return POLICY:format(word, word, word, up.address) end

local how -- the configuration that serves

local function start(more, listen)
  local section
  path, section = control.place()
  up = upstream.start { script = upstream.imap() }
  how = { workers = 1, more = section .. (more or ""), policy = policy "one",
    listen = listen or { imap = { protocol = "imap" } } }
  g = site.start(how)
end

--- Writes the same configuration with other listeners.
local function listen(listeners)
  g:write("moongate.lua", site.configuration { more = how.more, listen = listeners })
end

local function stop()
  client.discard_all()
  up:stop()
  g:stop()
  control.remove(path)
end

local function command(...) return control.command(path, ...) end

local function connect(port)
  local c = client.connect(port or g.ports.imap)
  c:expect "^%* OK"
  return c
end

local function can_login(word)
  local c = connect()
  local answer = c:send_line("a LOGIN ann " .. word):expect_until "^a (%u+)"
  c:discard()
  return answer == "OK"
end

--- The numbers of all generations that there are, the one that serves first.
local function numbers()
  local all = {}
  for i, generation in ipairs(control.get(path, "/v1/status").generations) do
    all[i] = generation.number
  end
  return all
end

describe("a rollback", function()
  before_each(function() start() end)
  after_each(stop)

  local function write(word) g:write("scripts/policy.lua", policy(word)) end

  it("to a number is the same when ordered again, and knows the number of before", function()
    write "two"
    assert.equal(2, g:reload())
    for _ = 1, 2 do
      local code, text = command("rollback", "1")
      assert.equal(0, code, text)
      assert.matches("^generation 3 serves", text)
    end
    assert.is_true(can_login "one")
    assert.same({ 3, 2 }, numbers())
    write "three"
    assert.equal(4, g:reload())
    assert.matches("^generation 5 serves", select(2, command("rollback", "1")))
    assert.is_true(can_login "one")
    assert.same({ 5, 4, 2 }, numbers())
    assert.matches("^generation 5 serves", select(2, command("rollback", "5")))
  end)

  it("works after a reload that was refused, of which the status tells meanwhile", function()
    write "two"
    assert.equal(2, g:reload())
    assert.is_nil(control.get(path, "/v1/status").refused)
    g:write("scripts/policy.lua", "\nreturn {")
    assert.equal(1, (command "reload"))
    local _, text = command "status"
    assert.matches("\nREFUSED +%d+%-%d+%-%d+ %S+\n  .*/scripts/policy%.lua:%d+: ", text)
    assert.matches("scripts/policy%.lua:%d+: ",
      json.decode(select(2, command("status", "--json"))).refused.error)

    assert.matches("^generation 3 serves", select(2, command "rollback"))
    assert.is_true(can_login "one")
    assert.is_nil((select(2, command "status"):find "REFUSED"))
    assert.equal(1, (command("rollback", "77")))
    assert.matches("REFUSED.*that generation is not kept", (select(2, command "status")))
  end)

  it("goes to another generation, not to one of the same files", function()
    write "two"
    for number = 2, 8 do assert.equal(number, g:reload()) end
    assert.same({ 8, 1 }, numbers())
    assert.equal(0, (command "rollback"))
    assert.is_true(can_login "one")
  end)
end)

describe("a diff", function()
  it("names what holds secrets, and shows sources", function()
    start()
    finally(stop)
    local function write(secret)
      g:write("key", secret .. "\n")
      g:write("moongate.lua", site.configuration { listen = how.listen, more = how.more
        .. 'settings = { p = { key = c.secret.file "key" } }, -- of ' .. #secret })
    end
    write "abracadabra"
    assert.equal(2, g:reload())
    write "open sesame, please"
    assert.equal(3, g:reload())
    local code, text = command("diff", "2", "3")
    assert.equal(0, code, text)
    assert.matches("/key has changed\n", text)
    assert.matches("\n%-[^\n]*of 11\n%+[^\n]*of 19\n", text)
    assert.not_matches("abracadabra", text)
    assert.not_matches("sesame", text)
    assert.equal(0, (command("diff", "1", "3")))
  end)
end)

describe("watch", function()
  it("takes what a rollback has left on disk for no change", function()
    start "watch = true,"
    finally(stop)
    g:write("scripts/policy.lua", policy "two")
    g:expect_log("reload: (generation 2) serves", 20)
    assert.equal(0, (command "rollback"))
    g:expect_log("rollback: generation 3 serves" .. (".*tick of (one)"):rep(6), 30)
    assert.same({ 3, 2 }, numbers())
    g:write("scripts/policy.lua", policy "three")
    g:expect_log("reload: (generation 4) serves", 20)
    assert.is_true(can_login "three")
  end)
end)

describe("orders", function()
  it("of many clients at once are all carried out, one after the other", function()
    start()
    finally(stop)
    g:write("scripts/policy.lua", policy "two")
    assert.equal(2, g:reload())
    local clients = {}
    for i = 1, 6 do
      clients[i] = control.connect(path)
      local what = i == 3 and "rollback?generation=1" or i == 5 and "rollback?generation=77"
        or "reload"
      clients[i]:send(("POST /v1/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"):format(what))
    end
    local seen = {}
    for i, c in ipairs(clients) do
      assert.equal(i == 5 and "409" or "200", (c:expect("^HTTP/1.1 (%d+)", 60)))
      c:expect_until "^$"
      local number = (c:read(30)):match "generation (%d+)"
      if i == 5 then
        assert.is_nil(number)
      else
        assert.is_nil(seen[number])
        seen[number] = true
      end
      c:discard()
    end
    assert.equal(7, control.get(path, "/v1/status").generation)
    assert.is_true(can_login "two")
  end)

  it("by SIGHUP do not pile up", function()
    start()
    local gate = upstream.start { script = function() end }
    finally(function()
      gate:stop()
      stop()
    end)
    g:write("scripts/policy.lua", ([[
local socket = require "moongate.socket"
return { init = function()
  local gate = socket.tcp()
  assert(gate:connect("127.0.0.1", %d))
  assert(gate:receive "*l")
end }
]]):format(gate.port))
    signal.kill(g.process.pid, signal.SIGHUP)
    gate:peer(1)
    g:write("scripts/policy.lua", policy "last")
    for _ = 1, 20 do
      signal.kill(g.process.pid, signal.SIGHUP)
      control.get(path, "/v1/status") -- the supervisor has turned to it
    end
    local order = control.connect(path)
    order:send "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    gate:peer(1):send "go on\r\n"
    order:expect("^HTTP/1.1 200", 60)
    assert.equal(4, control.get(path, "/v1/status").generation)
    assert.is_true(can_login "last")
  end)

  it("that nobody waits for are no hindrance, however many", function()
    start()
    finally(stop)
    g:write("scripts/policy.lua", [[
local moongate = require "moongate"
return { init = function() moongate.sleep(3600) end }
]])
    local answer, status
    for i = 1, 200 do
      local c = control.connect(path)
      c:send "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
      control.get(path, "/v1/status")
      c:discard()
      if i > 64 then answer, status = control.ask(path, "POST", "/v1/rollback?generation=77") end
      if status then break end
    end
    assert.equal(409, status)
    assert.matches("too many orders wait already", answer.error)
    assert.equal("running", control.get(path, "/v1/status").state)
    assert.is_nil(g:log():find("nonsense", 1, true))
    assert.is_true(can_login "one")
  end)
end)

describe("clients that have not logged in", function()
  local BOTH = { imap = { protocol = "imap" }, second = { protocol = "imap",
    more = 'upstream = "127.0.0.1:9",' } }

  it("keep what their session knows over a reload", function()
    start()
    finally(stop)
    local c = connect()
    g:write("scripts/policy.lua", policy "two")
    assert.equal(2, g:reload())
    c:send_line("a LOGIN ann two"):expect_until "^a OK"
    local line = g:expect_log(": login ([^\n]*)\n")
    assert.matches('greeted="one"', line)
  end)

  it("are let in by nobody when their listener has gone, or speaks another protocol", function()
    start(nil, BOTH)
    finally(stop)
    local gone, changed = connect(g.ports.second), connect(g.ports.imap)
    listen { imap = { protocol = "pop3" } }
    assert.equal(2, g:reload())
    for _, c in ipairs { gone, changed } do
      c:send_line("n NOOP"):expect "^n OK"
      c:send_line("a LOGIN ann one"):expect "^a NO %[UNAVAILABLE%]"
      c:send_line("b LOGOUT"):expect_until "^b OK"
      c:expect_end "eof"
    end
    assert.equal(0, #up.peers)
    g:expect_log "(no policy decided)"
  end)
end)

describe("generations that still have logins", function()
  local WAITING = [[
local moongate = require "moongate"
local socket = require "moongate.socket"
return {
  auth = function(session)
    local gate = socket.tcp()
    assert(gate:connect("127.0.0.1", %d))
    assert(gate:receive "*l")
    moongate.log("info", "passed in %d")
    return moongate.accept { upstream = %q }
  end,
}
]]

  it("are three at most with the one that serves; the next one waits", function()
    start("canary_init = true,", { imap = { protocol = "imap",
      more = "limits = { hook_timeout = 200, login_timeout = 300 }," } })
    local gate = upstream.start { script = function() end }
    finally(function()
      gate:stop()
      stop()
    end)
    local clients = {}
    for number = 2, 4 do
      g:write("scripts/policy.lua", WAITING:format(gate.port, number, up.address))
      assert.equal(number, g:reload())
      if number < 4 then
        clients[number] = connect()
        clients[number]:send_line "a LOGIN ann one"
        gate:peer(number - 1)
      end
    end
    g:write("scripts/policy.lua", policy "five":gsub("return {",
      'return { init = function() moongate.log("info", "init of five") end,', 1))
    local order = control.connect(path)
    order:send "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    clients[4] = connect() -- and it serves meanwhile
    clients[4]:send_line "a LOGIN ann one"
    gate:peer(3):send "go on\r\n"
    clients[4]:expect_until "^a OK"
    g:expect_log "(init of five)" -- of the canary; what comes next are the workers
    for _ = 1, 30 do assert.equal(4, control.get(path, "/v1/status").generation) end

    gate:peer(1):send "go on\r\n"
    clients[2]:expect_until "^a OK"
    order:expect("^HTTP/1.1 200", 30)
    g:expect_log "passed in 2.*generation (5) serves"
    g:expect_log "passed in 2.*(init of five)" -- of a worker, whose lines come when they come
    assert.is_true(can_login "five")
    gate:peer(2):send "go on\r\n"
    clients[3]:expect_until "^a OK"
  end)
end)
