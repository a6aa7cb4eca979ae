--- Limits that are about size and number, through the real binary.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  auth = function(session, credentials)
    if credentials.user == "stubborn" then return moongate.accept { upstream = "127.0.0.1:1" } end
    return moongate.accept { upstream = %q }
  end,
  connect_failed = function(session, up, err)
    session:log("info", session.listener .. " failed " .. session.upstream_attempt)
    if session.user == "stubborn" then return moongate.retry { upstream = "127.0.0.1:1" } end
  end,
}
]]

describe("the limit", function()
  local gw, up

  setup(function()
    up = upstream.start { script = upstream.imap() }
    local function limits(text)
      return { protocol = "imap", more = ("limits = { %s },"):format(text) }
    end
    gw = site.start {
      listen = {
        small = limits "command_max = 600, literal_max = 64, errors = 100",
        usual = limits "errors = 100",
        pop3 = { protocol = "pop3", more = "limits = { command_max = 512 }," },
        smtp = { protocol = "smtp", more = "limits = { command_max = 512 }," },
        terse = limits "reply_max = 1024",
        thrice = limits "upstream_attempts = 3",
        once = limits "upstream_attempts = 1",
        closing = limits "close_timeout = 0.3",
        silent = limits "handshake_timeout = 0.1, login_timeout = 0.4",
      },
      policy = POLICY:format(up.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    up.script = upstream.imap()
  end)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  local function connect(listener, of)
    local c = client.connect((of or gw).ports[listener])
    c.banner = c:read_line()
    return c
  end

  local function end_of(c)
    c:close()
    return gw:session_of(c)["end"]
  end

  it("command_max ends who goes beyond it, and nobody else", function()
    local c = connect "small"
    c:send_line("a NOOP " .. ("x"):rep(580)):expect "^a OK"
    c:send_line("b NOOP " .. ("x"):rep(600)):expect_until "^%* B"
    loop.wait("the end", function() return c.ended end)
    assert.equal("malformed", end_of(c))
    c = connect "usual"
    c:send_line("a NOOP " .. ("x"):rep(8000)):expect "^a OK"
    c:send_line("b NOOP " .. ("x"):rep(8200)):read_line()
    assert.equal("malformed", end_of(c))
    for _, listener in ipairs { "pop3", "smtp" } do
      c = connect(listener)
      c:send_line "NOOP"
      c:read_line()
      c:send(("x"):rep(520)) -- without an end
      loop.wait("the end", function() return c.ended end)
      assert.equal("malformed", end_of(c))
    end
  end)

  it("literal_max refuses to take a longer one", function()
    local c = connect "small"
    c:send_line "a LOGIN {65}"
    c:expect "^a [BN][AO]D?"
    c:send_line("b LOGIN {64}"):expect "^%+"
    c:send_line(("u"):rep(64) .. " secret"):expect_until "^b OK"
    c = connect "usual"
    c:send_line("a LOGIN ann {4096}"):expect "^%+"
    c = connect "usual"
    c:send_line("a LOGIN ann {4097}"):expect "^a [BN][AO]D?"
  end)

  it("any number of pipelined commands is no command that is too long", function()
    local c = connect "small"
    c:send(("n NOOP\r\n"):rep(3000))
    for _ = 1, 3000 do c:expect "^n OK" end
    c:send_line("z LOGOUT"):expect "^%* BYE"
  end)

  it("reply_max cuts off an upstream before its login is done", function()
    up.script = upstream.imap { login = function(peer, tag)
      peer:send_line("* OK " .. ("x"):rep(900))
      peer:send_line("* OK " .. ("x"):rep(1100))
      peer:send_line(tag .. " OK in")
    end }
    local c = connect "terse"
    c:send_line("a LOGIN ann secret"):expect "^a NO %[UNAVAILABLE%]"
    assert.equal("upstream_garbage", end_of(c))
    c = connect "usual"
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
  end)

  it("upstream_attempts ends a policy's wish to try another", function()
    for listener, most in pairs { thrice = 3, once = 1 } do
      local c = connect(listener)
      c:send_line("a LOGIN stubborn secret"):expect "^a NO %[UNAVAILABLE%]"
      assert.equal("upstream_unreachable", end_of(c))
      assert.is_truthy(gw:log():find(("%s failed %d"):format(listener, most), 1, true))
      assert.is_nil(gw:log():find(("%s failed %d"):format(listener, most + 1), 1, true))
    end
  end)

  it("login_timeout is what a client gets that was quick before", function()
    local c = connect "silent"
    c:expect "^%* BYE"
    c:close()
    local session = gw:session_of(c)
    assert.equal("timeout", session["end"])
    assert.is_true(tonumber(session.seconds) >= 0.3)
  end)

  it("close_timeout is how long a client may take to close", function()
    local c = connect "closing"
    c:send_line("a LOGOUT"):expect "^%* BYE"
    c:expect "^a OK"
    c:expect_end "eof" -- and does not close
    local at = loop.now() + 8
    repeat
      c:send "x" -- a socket that nobody has answers with a reset
      loop.pass(0.05)
    until c.lost or loop.now() > at
    assert.is_true(c.lost)
  end)

  it("max_sessions turns away who comes when so many are there, and only then", function()
    local full = site.start {
      listen = { imap = { protocol = "imap" }, pop3 = { protocol = "pop3" },
        smtp = { protocol = "smtp" } },
      more = "max_sessions = 3,",
      policy = POLICY:format(up.address),
    }
    finally(function()
      client.discard_all()
      up:clear()
      full:stop()
    end)
    local inside = { connect("imap", full), connect("pop3", full), connect("smtp", full) }
    assert.matches("^%* OK", inside[1].banner)
    for listener, word in pairs { imap = "^%* BYE", pop3 = "^%-ERR", smtp = "^421 " } do
      local c = connect(listener, full)
      assert.matches(word, c.banner)
      c:expect_end "eof"
      c:close()
      assert.equal("overload", full:session_of(c)["end"])
    end
    inside[1]:send_line("a LOGIN ann secret"):expect_until "^a OK" -- they are not disturbed
    inside[2]:send_line("QUIT"):expect "^%+OK"
    inside[2]:close()
    full:session_of(inside[2])
    loop.wait("room", function() return connect("imap", full).banner:find "^%* OK" end)
  end)
end)
