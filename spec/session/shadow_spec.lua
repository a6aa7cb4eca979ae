--- A chain of policies beside the live one: differences are logged, and nothing else happens.
local client = require "spec.support.client"
local control = require "spec.support.control"
local gateway = require "spec.support.gateway"
local upstream = require "spec.support.upstream"

local CONFIG = [[
local c = require "moongate.config"

return c.gateway {
  workers = 1, CONTROL
  shared = { places = "1m" },
  log = { level = "debug" },
  c.listen "imap" {
    address = "127.0.0.1:0", protocol = "imap", policy = { "live" }, shadow = { "mark", "next" },
    limits = { attempts = 100 },
  },
  c.listen "smtp" {
    address = "127.0.0.1:0", protocol = "smtp", auth = "none", policy = { "live" },
    shadow = { "next" },
  },
}
]]

local LIVE = [[
local moongate = require "moongate"

return {
  auth = function(session, credentials)
    session.vars.seen = "live"
    if not credentials.password:equals "opensesame" then
      return moongate.reject { reason = "bad-credentials" }
    end
    return moongate.accept { upstream = "%s" }
  end,
  rcpt = function() return moongate.accept { upstream = "%s" } end,
  closed = function(session, summary)
    session:log("info", "closed", { user = summary.user, seen = session.vars.seen })
  end,
}
]]

--- Users are named after what the new policy does with them.
local NEXT = [[
local moongate = require "moongate"
local places = require "moongate.shared".get "places"
local socket = require "moongate.socket"

local ways = {
  same = function() return moongate.accept { upstream = "%s" } end,
  elsewhere = function() return moongate.accept { upstream = "192.0.2.1:143" } end,
  refused = function() return moongate.reject { reason = "not-allowed", text = "never shown" } end,
  leases = function(session)
    session:log("info", "shadow leases", { held = places:lease("one", 1, session) })
  end,
  fails = function() error "on purpose" end,
  spins = function() while true do end end,
  hangs = function()
    local s = socket.tcp()
    return s:connect("%s", %d) and s:receive "*l"
  end,
}

return {
  auth = function(session, credentials)
    session:log("info", "shadow asked", { user = credentials.user, seen = session.vars.seen,
      knows = credentials.password:equals "opensesame" })
    local way = ways[credentials.user]
    session.vars.seen = "shadow"
    session:set_user "somebody"
    return way(session)
  end,
  route = function(session)
    session:log("info", "shadow routes", { user = session.user })
    if session.user == "same" then return moongate.to { address = "192.0.2.9:143" } end
  end,
  connect = function(session)
    if session.listener == "smtp" then return moongate.reject { reason = "limit" } end
  end,
  rcpt = function() return moongate.tempfail { log = "not yet" } end,
}
]]

local MARK = "return { auth = function(session) session.vars.marked = true end }"

describe("a shadow chain", function()
  local gw, up, mute, socket, section

  setup(function()
    socket, section = control.place()
    up = upstream.start { script = upstream.imap() }
    mute = upstream.start { script = function(peer) peer:expect_end() end }
    gw = gateway.start { files = {
      ["moongate.lua"] = CONFIG:gsub("CONTROL", section),
      ["scripts/live.lua"] = LIVE:format(up.address, up.address),
      ["scripts/next.lua"] = NEXT:format(up.address, "127.0.0.1", mute.port),
      ["scripts/mark.lua"] = MARK,
    } }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    mute:clear()
  end)
  teardown(function()
    gw:stop()
    control.remove(socket)
    up:stop()
    mute:stop()
  end)

  local function login(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s %s"):format(user, password or "opensesame"))
    c:expect_until(password and "^a NO" or "^a OK")
    c:close()
    local line = gw:session_of(c)
    assert.equal(user, line.user)
    return line.session
  end

  local function difference(session, hook)
    return gw:expect_log(("session %s: hook \"%s\": (live: [^\n]*)"):format(session, hook))
  end

  it("is asked with the same session and credentials, and a difference is one line", function()
    assert.equal('live: accept ' .. up.address .. ' by "live", shadow: accept 192.0.2.1:143 '
      .. 'by "next"', difference(login "elsewhere", "auth"))
    gw:expect_log '(shadow asked[^\n]*user="elsewhere"[^\n]*)'
    local line = gw:log():match '(shadow asked[^\n]*user="elsewhere"[^\n]*)'
    assert.truthy(line:find('seen="live"', 1, true))
    assert.truthy(line:find('knows="true"', 1, true))
  end)

  it("changes nothing: the client, the user and the vars are the live chain's", function()
    local session = login "refused"
    assert.equal('live: accept ' .. up.address .. ' by "live", shadow: reject not-allowed '
      .. 'by "next"', difference(session, "auth"))
    gw:expect_log(("(session %s: closed[^\n]*)"):format(session))
    local closed = gw:log():match(("session %s: closed[^\n]*"):format(session))
    assert.truthy(closed:find('user="refused"', 1, true))
    assert.truthy(closed:find('seen="live"', 1, true))
  end)

  it("is asked by hooks that the live chain lacks", function()
    assert.equal('live: nil, shadow: to 192.0.2.9:143 by "next"',
      difference(login "same", "route"))
    assert.falsy(gw:log():find("shadow routes[^\n]*somebody"))
  end)

  it("keeps no lease", function()
    login "leases"
    gw:expect_log '(shadow leases held="?true)'
    login "leases"
    gw:expect_log '(shadow leases held="?true.*shadow leases held="?true)'
    assert.falsy(gw:log():find "shadow leases held=\"?false")
  end)

  it("is silent when both decide the same", function()
    local session = login "same"
    difference(session, "route") -- is asked after `auth`
    assert.falsy(gw:log():find(("session %s: hook \"auth\": live"):format(session), 1, true))
  end)

  it("is compared when the live chain refuses", function()
    assert.equal('live: reject bad-credentials by "live", shadow: accept ' .. up.address
      .. ' by "next"', difference(login("same", "wrong-password"), "auth"))
  end)

  for user, why in pairs { fails = "on purpose", spins = "CPU" } do
    it(("that %s is logged, and the login is as without it"):format(user), function()
      local session = login(user)
      gw:expect_log(("session %s: [^\n]*next%%.lua:%%d+[^\n]*(%s)"):format(session, why))
      difference(session, "auth")
    end)
  end

  it("that waits for ever delays nobody", function()
    login "hangs" -- whose session ends while it waits
    difference(login "elsewhere", "auth")
  end)

  it("is asked about connections and recipients too", function()
    local c = client.connect(gw.ports.smtp)
    c:expect "^220"
    c:send_line "EHLO there.example":expect_until "^250 "
    c:send_line "MAIL FROM:<a@example.org>":expect "^250"
    c:send_line "RCPT TO:<b@example.org>"
    gw:expect_log '(hook "connect": live: nil, shadow: reject limit by "next")'
    gw:expect_log '(hook "rcpt": live: accept [^\n]*, shadow: tempfail unavailable by "next")'
  end)

  it("is counted, and its mistakes are none of the live chain's", function()
    difference(login "fails", "auth")
    local counted = {}
    for _, c in ipairs(control.get(socket, "/v1/counters").counters) do
      counted[c.name] = c.value
    end
    assert.truthy(counted['shadow_calls_total{hook="auth"}'] >= 1)
    assert.truthy(counted['shadow_mismatch_total{hook="auth",policy="next"}'] >= 1)
    assert.is_nil(counted['hook_errors_total{hook="auth",policy="next"}'])
  end)

  it("leaves no password in the log", function()
    assert.falsy(gw:log():find("opensesame", 1, true))
    assert.falsy(gw:log():find("wrong-password", 1, true))
  end)
end)
