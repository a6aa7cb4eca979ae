--- What upstreams do to a gateway that logs a user in.
local black_hole = require "spec.support.black_hole"
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local NAMES = {
  ["second.test"] = { A = { "127.0.0.4", "127.0.0.3" } },
  ["hole.test"] = { A = { "127.0.0.2", "127.0.0.3" } },
  ["only-hole.test"] = { A = { "127.0.0.2" } },
  ["two.test"] = { A = { "127.0.0.3", "127.0.0.5" } },
  ["mute6.test"] = { A = { "127.0.0.3" }, AAAA = false },
  ["silent.test"] = { A = false, AAAA = false },
}

describe("an upstream", function()
  local gw, dns, up

  --- Logs a user in at an upstream that runs `script`. Users are named after upstreams.
  local function login(script, user, listener)
    up.script = script
    local c = client.connect(gw.ports[listener or "imap"])
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s secret"):format(user or "alice"))
    return c
  end

  --- The client hears that the login can't be done now; returns why its session ended.
  local function expect_unavailable(c, seconds)
    c:expect("^a NO %[UNAVAILABLE%]", seconds)
    c:discard()
    return gw:session_of(c)["end"]
  end

  --- A login of less than half a second: the best of five, for the machine does other things too.
  local function soon(user, after)
    local best = math.huge
    for _ = 1, 5 do
      local began = loop.now()
      local c = login(upstream.imap(), user)
      c:expect_until "^a OK"
      best = math.min(best, loop.now() - began)
      if after then after(c) end
      c:discard()
      gw:session_of(c)
      up:clear()
      if best < 0.5 then return best end
    end
    error(("the best of five took %.3f s"):format(best))
  end

  setup(function()
    dns = dns_server.start(NAMES)
    up = upstream.start { ip = "127.0.0.3", script = upstream.imap() }
    local users = { alice = up.address, nobody = "missing.test:143" }
    for name in pairs(NAMES) do users[name] = ("%s:%d"):format(name, up.port) end
    gw = site.start {
      listen = {
        imap = { protocol = "imap",
          more = "limits = { upstream_timeout = 5, connect_timeout = 5 }," },
        hasty = { protocol = "imap",
          more = "limits = { upstream_timeout = 0.5, connect_timeout = 0.5 }," },
      },
      more = ("resolver = { %q },"):format(dns.address),
      users = users,
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    dns:stop()
    up:stop()
    gw:stop()
  end)

  it("may greet late and in pieces", function()
    local c = login(function(peer)
      loop.pass(0.2)
      peer:send_slowly "* OK [CAPABILITY IMAP4rev1] hel"
      loop.pass(0.1)
      upstream.imap { greeting = "lo" }(peer)
    end)
    c:expect_until "^a OK"
    c:send_line("b NOOP"):expect_until "^b OK"
    c:discard()
    assert.equal("client_closed", gw:session_of(c)["end"])
  end)

  it("may answer one byte at a time, with untagged lines around its yes", function()
    local c = login(upstream.imap { login = function(peer, tag)
      peer:send_slowly("* CAPABILITY IMAP4rev1 IDLE\r\n* OK note\r\n" .. tag
        .. " OK in\r\n* 1 EXISTS\r\n")
      return true
    end })
    local _, before = c:expect_until "^a OK"
    for _, line in ipairs(before) do assert.is_truthy(line:find "^%* ") end
    c:expect_until "^%* 1 EXISTS"
    c:discard()
    gw:session_of(c)
  end)

  it("that greets with garbage is not spoken to", function()
    local c = login(function(peer) peer:send "HTTP/1.1 400 Bad Request\r\n\r\n" end)
    assert.equal("upstream_garbage", expect_unavailable(c))
    assert.equal("", up:peer(1):all())
  end)

  it("that greets without end is cut off", function()
    local c = login(function(peer) peer:send("* OK " .. ("x"):rep(1000000)) end)
    assert.equal("upstream_garbage", expect_unavailable(c))
  end)

  it("that greets with PREAUTH gets no password", function()
    local c = login(function(peer) peer:send "* PREAUTH welcome\r\n" end)
    assert.equal("upstream_preauth", expect_unavailable(c))
    assert.is_nil(up:peer(1):all():find("secret", 1, true))
  end)

  it("that greets with BYE has refused the connection", function()
    local c = login(function(peer)
      peer:send "* BYE too many connections\r\n"
      peer:close()
    end)
    assert.equal("upstream_greeting", expect_unavailable(c))
  end)

  it("that closes or resets during the login is lost", function()
    local c = login(function(peer)
      peer:send "* OK hi\r\n"
      peer:read_line()
      peer:close()
    end)
    assert.equal("upstream_lost", expect_unavailable(c))
    c = login(function(peer)
      peer:send "* OK hi\r\n"
      peer:read_line() -- the gateway knows that it is connected
      peer:reset()
    end)
    assert.equal("upstream_lost", expect_unavailable(c))
  end)

  it("that never greets, or never answers, is a timeout", function()
    local never = upstream.imap { login = function() return false end }
    for _, script in ipairs { upstream.mute(), never } do
      local began = loop.now()
      local c = login(script, "alice", "hasty")
      assert.equal("upstream_timeout", expect_unavailable(c, 8))
      assert.is_true(loop.now() - began > 0.4)
      up:clear()
    end
  end)

  it("that says no is heard in the gateway's words by the client, who may try again", function()
    local c = login(upstream.imap { login = function(peer, tag)
      peer:send_line(tag .. " NO [AUTHENTICATIONFAILED] internal: uid 501 on db7")
    end })
    local text = c:expect "^a NO %[AUTHENTICATIONFAILED%] ?(.*)"
    assert.is_nil(text:find("db7", 1, true))
    up.script = upstream.imap()
    c:send_line("b LOGIN alice secret"):expect_until "^b OK"
    c:discard()
    gw:session_of(c)
  end)

  it("that repeats the password in its no does not get it into the log", function()
    local encoded = client.plain("alice", "secret")
    for _, words in ipairs { "LOGIN alice secret", "c2VjcmV0", "AUTHENTICATE PLAIN " .. encoded } do
      local c = login(upstream.imap { login = function(peer, tag)
        peer:send_line(tag .. " BAD what is " .. words)
      end })
      c:expect "^a NO"
      c:discard()
      local session = gw:session_of(c)
      assert.equal("(a reply that repeats the password)", session.log)
      assert.is_nil(gw:log():find(words, 1, true))
    end
  end)

  it("that said no is let go, while its client stays", function()
    local c = login(upstream.imap { login = function(peer, tag)
      peer:send_line(tag .. " NO [AUTHENTICATIONFAILED] no")
      peer:expect_end()
    end })
    c:expect "^a NO"
    up:peer(1):expect_end()
    c:send_line("b NOOP"):expect "^b OK"
    c:discard()
    gw:session_of(c)
  end)

  it("that refuses the connection is passed over for the next address", function()
    local c = login(upstream.imap(), "second.test")
    c:expect_until "^a OK"
    c:discard()
    assert.equal(up.address, gw:session_of(c).upstream)
  end)

  it("whose every address refuses can't be reached", function()
    local port = up.port
    up:stop()
    local c = login(nil, "second.test")
    assert.equal("upstream_unreachable", expect_unavailable(c))
    up = upstream.start { ip = "127.0.0.3", port = port, script = upstream.imap() }
  end)

  it("whose name does not exist can't be reached", function()
    local c = login(nil, "nobody")
    assert.equal("upstream_unreachable", expect_unavailable(c))
  end)

  it("whose name is never answered for can't be reached", function()
    local c = login(nil, "silent.test", "hasty")
    assert.equal("upstream_unreachable", expect_unavailable(c, 3))
  end)

  it("whose IPv6 addresses are never answered for is reached by IPv4", function()
    soon "mute6.test"
  end)

  it("whose first address is a black hole is logged in to in time, by one connection", function()
    local hole = black_hole.open("127.0.0.2", up.port)
    finally(function() hole:close() end)
    local took = soon("hole.test", function(c)
      c:send_line("b NOOP"):expect "^b OK"
      assert.equal(1, #up.peers)
      assert.equal(1, up:open_count())
      assert.equal(0, hole:knocking())
    end)
    assert.is_true(took >= 0.2) -- the black hole was tried first
  end)

  it("that thinks before it greets is waited for, and its other address left alone", function()
    local other = upstream.start { ip = "127.0.0.5", port = up.port, script = upstream.imap() }
    finally(function() other:stop() end)
    local c = login(function(peer)
      loop.pass(0.6) -- twice the time after which the next address would have its turn
      upstream.imap()(peer)
    end, "two.test")
    c:expect_until "^a OK"
    assert.equal(1, #up.peers)
    assert.equal(0, #other.peers)
    c:discard()
  end)

  it("that is a black hole altogether is given up at the connect timeout", function()
    local hole = black_hole.open("127.0.0.2", up.port)
    finally(function() hole:close() end)
    local began = loop.now()
    local c = login(nil, "only-hole.test", "hasty")
    assert.equal("upstream_timeout", expect_unavailable(c, 8))
    assert.is_true(loop.now() - began > 0.4)
  end)

  it("may be a unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local here = upstream.start { path = path, script = upstream.imap() }
    local own = site.start {
      listen = { imap = { protocol = "imap" } },
      users = { alice = "unix:" .. path },
    }
    finally(function()
      own:stop()
      here:stop()
      os.remove(path)
    end)
    local c = client.connect(own.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN alice secret"
    c:expect_until "^a OK"
    c:close()
    assert.equal("unix:" .. path, own:session_of(c).upstream)
  end)

  it("never sees the login of a client that has gone", function()
    local c = login(upstream.mute())
    local peer = up:peer(1)
    c:reset()
    assert.equal("client_gone", gw:session_of(c)["end"])
    loop.wait("the upstream connection to be closed", function() return peer.ended end)
    assert.equal("", peer:all())
  end)

  it("never has a password in the log", function()
    assert.is_nil(gw:log():find("secret", 1, true))
  end)
end)
