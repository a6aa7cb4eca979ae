--- Pools, through the real binary: who gets a login, what a member that fails does to it, and when
-- that is served again.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local NOWHERE = "127.0.0.1:1"

--- A user "turn.ann" goes to the pool "turn"; further words say how.
local POLICY = [[
local policy = {}

function policy.auth(session, credentials)
  local pool, how = credentials.user:match "^(%w+)%.(%w+)"
  if how == "listener" then return moongate.accept() end
  if how == "routed" or how == "keyed" or how == "unknown" or how == "backed" then
    return moongate.accept()
  end
  if how == "named" then return moongate.accept { upstream = "pool:" .. pool } end
  return moongate.accept { pool = pool }
end

policy.rcpt = function() return moongate.accept { pool = "smtp" } end

function policy.route(session)
  if session.listener == "smtp" then return end
  local pool, how, more = session.user:match "^(%w+)%.(%w+)%.?(.*)"
  if how == "routed" then return moongate.to { pool = pool } end
  if how == "keyed" then return moongate.to { pool = pool, key = more } end
  if how == "unknown" then
    local name = "tern"
    return moongate.to { pool = name }
  end
  if how == "backed" then return moongate.to { pool = pool, fallback = more } end
end

function policy.connect_failed(session, up, err)
  local _, how, more = (session.user or ""):match "^(%w+)%.(%w+)%.?(.*)"
  session:log("info", ("attempt %d at %s of %s"):format(session.upstream_attempt, up.address,
    tostring(up.pool)))
  if how == "again" then return moongate.retry() end
  if how == "elsewhere" then return moongate.retry { upstream = more } end
  if how == "resigned" then return moongate.tempfail { log = err, text = "Later" } end
end

function policy.upstream_refused(session, reply)
  if session.user:find "%.refused" then return moongate.retry() end
end

function policy.closed(session, summary)
  if summary.pool ~= "judged" then return end
  local members = {}
  for i, m in ipairs(moongate.pool(session.pool):members()) do
    members[i] = ("%s %s %d %d"):format(m:address(), tostring(m:healthy()), m:failures(),
      m:sessions())
  end
  local one = moongate.upstream(session.upstream)
  session:log("info", ("left %s, %d there; %s"):format(tostring(one), one:sessions(),
    table.concat(members, ", ")))
end

return policy
]]

describe("a pool", function()
  local gw, servers
  local FAULTS = {}

  --- Answers that are no IMAP server's, and an unwilling one's.
  function FAULTS.garbage(peer) peer:send "HTTP/1.1 400 Bad Request\r\n\r\n" end
  function FAULTS.unwilling(peer)
    peer:send "* BYE too many connections\r\n"
    peer:close()
  end
  function FAULTS.gone(peer) peer:close() end
  FAULTS.mute = upstream.mute()

  setup(function()
    servers = {}
    for i = 1, 3 do
      servers[i] = upstream.start { name = "member " .. i, script = upstream.imap() }
    end
    servers.smtp = upstream.start { name = "smtp", script = upstream.smtp() }
    local a, b, c = servers[1].address, servers[2].address, servers[3].address
    local pools = {
      least = '"A", "B"',
      turn = '"A", "B", balance = "round_robin"',
      hashed = '"A", "B", "C", balance = "hash"',
      spare = '{ address = "A", backup = true }, { address = "B" }, max_failures = 100',
      quick = '"A", "B", balance = "round_robin", max_failures = 2, retry = 0.2',
      dead = '"A", "B", "C", balance = "round_robin", max_failures = 1, retry = "1h"',
      judged = '"A", "B", balance = "round_robin", max_failures = 2, retry = "1h"',
      poison = '"A", "B", balance = "round_robin", max_failures = 1, retry = "1h"',
      lone = '"A", max_failures = 1, retry = "1h"',
      lost = ('%q, "A", balance = "round_robin", max_failures = 1, retry = "1h"'):format(NOWHERE),
      void = ('%q, connect_timeout = 1'):format(NOWHERE),
      three = '"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"',
      half = '"127.0.0.1:1", "A", balance = "round_robin", max_failures = 100',
      proxied = '"A", proxy_protocol = "v1"',
      smtp = ('%q, %q, balance = "round_robin"'):format(NOWHERE, servers.smtp.address),
    }
    local lines = {}
    for name, text in pairs(pools) do
      text = text:gsub('"([ABC])"', { A = ("%q"):format(a), B = ("%q"):format(b),
        C = ("%q"):format(c) })
      table.insert(lines, ("%s = { %s },"):format(name, text))
    end
    gw = site.start {
      listen = {
        imap = { protocol = "imap", more = 'limits = { upstream_timeout = 5 }, '
          .. 'upstream = "pool:least",' },
        hasty = { protocol = "imap", more = "limits = { upstream_timeout = 0.3 }," },
        once = { protocol = "imap", more = "limits = { upstream_attempts = 1 }," },
        smtp = { protocol = "smtp", more = 'auth = "none",' },
      },
      more = "pools = { " .. table.concat(lines, "\n    ") .. " },",
      policy = POLICY,
    }
  end)
  before_each(function()
    for i = 1, 3 do servers[i].script = upstream.imap() end
  end)
  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
  end)
  teardown(function()
    for _, server in pairs(servers) do server:stop() end
    gw:stop()
  end)

  local function start_login(user, listener)
    local c = client.connect(gw.ports[listener or "imap"])
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s secret"):format(user))
  end

  --- A client that is logged in, and stays.
  local function enter(user, listener)
    local c = start_login(user, listener)
    c:expect_until "^a OK"
    return c
  end

  local function leave(c)
    c:close()
    return gw:session_of(c)
  end

  --- The line of a session that logged in and left.
  local function log_in(user, listener) return leave(enter(user, listener)) end

  --- The line of a session whose login can't be done now.
  local function fail(user, listener)
    local c = start_login(user, listener)
    c:expect "^a NO %[UNAVAILABLE%]"
    return leave(c)
  end

  --- How many connections each server has had.
  local function counts()
    local list = {}
    for i = 1, 3 do list[i] = #servers[i].peers end
    return list
  end

  --- Does something again and again until it gives true.
  local function repeat_until(what, done)
    local deadline = loop.now() + 20
    while not done() do assert(loop.now() < deadline, "in vain: " .. what) end
  end

  local function occurrences(text)
    local _, n = gw:log():gsub(text:gsub("%p", "%%%0"), "")
    return n
  end

  --- Breaks members, by their numbers.
  local function break_down(fault, ...)
    for _, i in ipairs { ... } do servers[i].script = FAULTS[fault] end
  end

  it("gives logins to the member with the fewest sessions, and says which in the log", function()
    local first, second, third = enter "least.ann", enter "least.bob", enter "least.cid"
    assert.same({ 2, 1, 0 }, counts())
    first:close()
    gw:session_of(first)
    local line = log_in "least.dan"
    assert.equal("least", line.pool)
    assert.is_truthy(line.upstream == servers[1].address or line.upstream == servers[2].address)
    leave(second)
    leave(third)
  end)

  it("is named by an accept, by a route, as an upstream, and by the listener", function()
    for _, how in ipairs { "ann", "named", "routed" } do
      assert.equal("turn", log_in("turn." .. how).pool)
    end
    assert.same({ 2, 1, 0 }, counts())
    assert.equal("least", log_in("none.listener").pool)
  end)

  it("that hashes sends a user always to the same member; a key takes the user's place", function()
    local of = {}
    for i = 1, 8 do
      local user = "hashed.u" .. i
      of[user] = log_in(user).upstream
      assert.equal(of[user], log_in(user).upstream)
    end
    local distinct = {}
    for _, address in pairs(of) do distinct[address] = true end
    assert.is_truthy(next(distinct, next(distinct)))
    local keyed = log_in("turn.keyed.k1").upstream
    for i = 1, 3 do assert.equal(keyed, log_in("turn.keyed.k1").upstream, i) end
  end)

  it("has a login go on at the next member, whatever is wrong with one", function()
    for _, fault in ipairs { "garbage", "unwilling", "gone" } do
      break_down(fault, 2)
      local lines = { log_in "spare.ann" }
      assert.equal(servers[1].address, lines[1].upstream, fault)
      assert.equal("spare", lines[1].pool)
    end
    break_down("mute", 2)
    assert.equal(servers[1].address, log_in("spare.ann", "hasty").upstream)
  end)

  it("takes a member out of service after failures in a row, and says so", function()
    break_down("unwilling", 1)
    for _ = 1, 6 do log_in "judged.ann" end
    assert.same({ 2, 6, 0 }, counts())
    local why = gw:expect_log("pool judged: " .. servers[1].address:gsub("%p", "%%%0")
      .. " is down for [%d.]+ seconds %(failures in a row: 2%): (%S+):")
    assert.equal("upstream_greeting", why)
    assert.equal(1, occurrences("pool judged: " .. servers[1].address .. " is down"))
  end)

  it("serves a member again when one login found it back", function()
    local port = servers[1].port
    servers[1]:stop()
    local line = "pool quick: " .. servers[1].address
    repeat_until("until the member is down", function()
      assert.equal(servers[2].address, log_in("quick.ann").upstream)
      return occurrences(line .. " is down") > 0
    end)
    servers[1] = upstream.start { name = "member 1", port = port, script = upstream.imap() }
    repeat_until("until the member is back", function()
      return log_in("quick.ann").upstream == servers[1].address
    end)
    gw:expect_log(line:gsub("%p", "%%%0") .. " is back")
    local before = #servers[1].peers
    for _ = 1, 4 do log_in "quick.ann" end
    assert.equal(before + 2, #servers[1].peers)
  end)

  it("that is down altogether has one member tried by each login", function()
    break_down("unwilling", 1, 2, 3)
    assert.equal("upstream_greeting", fail("dead.ann")["end"])
    assert.same({ 1, 1, 1 }, counts())
    for _ = 1, 3 do fail "dead.ann" end
    assert.same({ 2, 2, 2 }, counts())
    servers[2].script = upstream.imap()
    local answered = 0
    for _ = 1, 3 do
      local c = start_login "dead.ann"
      if c:expect_until "^a (%u+)" == "OK" then answered = answered + 1 end
      leave(c)
    end
    assert.is_true(answered >= 1)
    for _ = 1, 3 do assert.equal(servers[2].address, log_in("dead.ann").upstream) end
  end)

  it("does not hold one user's trouble against a member", function()
    for i = 1, 2 do
      servers[i].script = upstream.imap { login = function(peer) peer:close() end }
    end
    assert.equal("upstream_lost", fail("poison.ann")["end"])
    for i = 1, 2 do servers[i].script = upstream.imap() end
    log_in "poison.bob"
    log_in "poison.bob"
    assert.same({ 2, 2, 0 }, counts())
    assert.equal(0, occurrences "pool poison: ")
  end)

  it("does not hold a client that left against a member", function()
    break_down("mute", 1)
    local c = start_login "lone.ann"
    servers[1]:peer(1)
    leave(c)
    assert.equal(0, occurrences "pool lone: ")
  end)

  it("is followed by the fallback, an address or another pool", function()
    assert.equal(servers[3].address, log_in("void.backed." .. servers[3].address).upstream)
    local line = log_in "void.backed.pool:turn"
    assert.equal("turn", line.pool)
    line = log_in("void.backed.pool:turn", "once")
    assert.equal("turn", line.pool)
    assert.equal("upstream_unreachable", fail("void.backed." .. NOWHERE)["end"])
    assert.equal("upstream_unreachable", fail("void.ann")["end"])
    -- It has as many attempts as the pool has used up.
    assert.equal(servers[1].address, log_in("three.backed.pool:half").upstream)
    gw:expect_log("attempt 4 at 127%.0%.0%.1:1 of half")
  end)

  it("is tried as often as upstream_attempts says", function()
    break_down("gone", 1, 2, 3)
    fail("judged.ann", "once")
    local list = counts()
    assert.equal(1, list[1] + list[2] + list[3])
  end)

  it("gives a policy that retries another member", function()
    log_in "lost.again"
    gw:expect_log("attempt 1 at 127%.0%.0%.1:1 of lost")
    assert.same({ 1, 0, 0 }, counts())
    assert.equal(servers[3].address, log_in("void.elsewhere." .. servers[3].address).upstream)
    assert.equal("turn", log_in("void.elsewhere.pool:turn").pool)
    fail "void.again" -- the only member again, three times in all
    gw:expect_log("attempt 3 at 127%.0%.0%.1:1 of void")
  end)

  it("is left alone when a policy resigns", function()
    break_down("gone", 1, 2)
    local c = start_login "turn.resigned"
    c:expect "^a NO %[UNAVAILABLE%] Later"
    leave(c)
    local list = counts()
    assert.equal(1, list[1] + list[2])
  end)

  it("gives a policy that retries after a refusal another member", function()
    servers[1].script = upstream.imap { login = function(peer, tag)
      peer:send_line(tag .. " NO [AUTHENTICATIONFAILED] not here")
    end }
    servers[2].script = servers[1].script
    local c = start_login "turn.refused"
    c:expect "^a NO %[AUTHENTICATIONFAILED%]"
    leave(c)
    local list = counts()
    assert.is_true(list[1] >= 1 and list[2] >= 1)
  end)

  it("that there is not is a mistake of the policy, with its line", function()
    fail "turn.unknown"
    gw:expect_log('policy%.lua:16: policy "policy", hook "route": .*to: pool: '
      .. 'unknown pool "tern" %(did you mean "turn"%?%)')
  end)

  it("has its own settings for all members", function()
    local c = start_login "proxied.ann"
    assert.matches("^PROXY TCP4 127%.0%.0%.1 127%.0%.0%.1 %d+ %d+$", servers[1]:peer(1):read_line())
    c:close()
  end)

  it("is probed by one of its members, in the pool's way", function()
    local header = "PROXY UNKNOWN\r\n"
    local up = upstream.start { script = function(peer)
      peer:read(#header)
      return upstream.imap()(peer)
    end }
    local own = site.start { users = {}, listen = { imap = { protocol = "imap",
      more = 'upstream = "pool:one", probe = 60,' } },
      more = ('pools = { one = { %q, proxy_protocol = "v1" } },'):format(up.address) }
    finally(function()
      own:stop()
      up:stop()
    end)
    local peer = up:peer(1)
    loop.wait("the probe's goodbye", function() return peer:all():find("LOGOUT", 1, true) end)
    assert.equal(header, peer:all():sub(1, #header))
  end)

  it("serves recipients of SMTP too", function()
    local c = client.connect(gw.ports.smtp)
    c:expect "^220"
    c:send_line("EHLO me"):expect_until "^250 "
    c:send_line("MAIL FROM:<a@b.example>"):expect "^250"
    c:send_line("RCPT TO:<c@d.example>"):expect "^250"
    local line = leave(c)
    assert.equal("smtp", line.pool)
    assert.equal(servers.smtp.address, line.upstream)
  end)

  it("tells policies how its members are", function()
    local staying = enter "judged.ann"
    log_in "judged.bob"
    local line = ("left B, 1 there; A false 2 0, B true 0 1"):gsub("[AB]",
      { A = servers[1].address, B = servers[2].address })
    gw:expect_log((line:gsub("%p", "%%%0")))
    leave(staying)
  end)
end)

describe("a pool in the next generation", function()
  local CONFIGURATION = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  pools = { imap = { %s, balance = "round_robin", max_failures = 1, retry = "1h" } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "policy",
    upstream = "pool:%s" },
}]]
  local ASKING = [[
local moongate = require "moongate"
return { auth = function(session, credentials)
  local address = credentials.user:match "^about (.*)"
  if not address then return moongate.accept() end
  local u = moongate.upstream(address)
  return moongate.reject { text = ("%s %d"):format(tostring(u:healthy()), u:sessions()) }
end }]]
  local gw, a, b, c

  setup(function()
    a, b, c = upstream.start { name = "a", script = upstream.imap() },
      upstream.start { name = "b", script = upstream.imap() },
      upstream.start { name = "c", script = upstream.imap() }
    gw = gateway.start { files = { ["scripts/policy.lua"] = ASKING,
      ["moongate.lua"] = CONFIGURATION:format(("%q, %q"):format(a.address, b.address), "imap") } }
  end)
  teardown(function()
    client.discard_all()
    for _, server in ipairs { a, b, c } do server:stop() end
    gw:stop()
  end)

  local function connect(user)
    local session = client.connect(gw.ports.imap)
    session:expect "^%* OK"
    return session:send_line(("a LOGIN %q secret"):format(user))
  end

  local function ask_about(server)
    return (connect("about " .. server.address):expect "^a NO %S+ (.*)")
  end

  it("keeps what is known of the members that stay, and the sessions of those that went", function()
    a.script = function(peer)
      peer:send "* BYE not now\r\n"
      peer:close()
    end
    local staying = connect "ann"
    staying:expect_until "^a OK"
    assert.same({ "false 0", "true 1" }, { ask_about(a), ask_about(b) })

    gw:write("moongate.lua", CONFIGURATION:format(("%q, %q"):format(a.address, c.address), "imap"))
    assert.equal(2, gw:reload())
    for _ = 1, 3 do connect("bob"):expect_until "^a OK" end
    assert.same({ 1, 1, 3 }, { #a.peers, #b.peers, #c.peers })
    assert.same({ "false 0", "true 1", "true 3" }, { ask_about(a), ask_about(b), ask_about(c) })
    staying:send_line("b NOOP"):expect "^b OK"
    staying:close()
    gw:session_of(staying)
    assert.equal("true 0", ask_about(b))

    gw:write("moongate.lua", CONFIGURATION:format(("%q"):format(a.address), "imp"))
    local _, why = gw:reload()
    assert.matches('moongate.lua:6: listen "imap": upstream: one of the `pools` (did you mean '
      .. '"pool:imap"?) expected, not "pool:imp"', why, 1, true)
    connect("cid"):expect_until "^a OK"
    assert.equal(4, #c.peers)
  end)
end)
