--- What clients do to a gateway before they are logged in.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

describe("a client", function()
  local gw, up

  local function connect(listener)
    local c = client.connect(gw.ports[listener or "imap"])
    c:read_line()
    return c
  end

  --- Waits for the session of `c` to be over and returns its line.
  local function line_of(c)
    c:close()
    return gw:session_of(c)
  end

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = site.start {
      listen = {
        imap = { protocol = "imap", more = "limits = { errors = 4 }," },
        hasty = { protocol = "imap", more = "limits = { login_timeout = 1, attempts = 100 }," },
        pop3 = { protocol = "pop3" },
        smtp = { protocol = "smtp" },
      },
      users = { alice = up.address },
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  it("may send one byte at a time", function()
    local c = connect()
    c:send_slowly "a LOGIN alice secret\r\n"
    c:expect_until "^a OK"
    c:send_slowly "b NOOP\r\n"
    c:expect "^b OK"
    assert.equal("client_closed", line_of(c)["end"])
  end)

  it("may pipeline behind LOGIN, cut at any byte", function()
    local login = "a LOGIN alice secret\r\n"
    local text = login .. "b NOOP\r\nc NOOP\r\nd LOGOUT\r\n"
    for cut = 1, #text - 1 do
      local c = connect()
      local asked = #up.peers
      c:send(text:sub(1, cut))
      if cut >= #login then
        c:expect_until "^a OK" -- has read the first part
        c:send(text:sub(cut + 1))
      else
        c:expect_silence(0.001)
        assert.equal(asked, #up.peers)
        c:send(text:sub(cut + 1))
        c:expect_until "^a OK"
      end
      c:expect "^b OK"
      c:expect "^c OK"
      c:expect "^%* BYE"
      c:expect "^d OK"
      c:expect_end "eof"
      assert.equal("upstream_closed", line_of(c)["end"])
      client.discard_all()
      up:clear()
    end
  end)

  it("that resets the connection in the middle of a login leaves no trace", function()
    local c = connect()
    c:send "a LOGIN ali"
    c:reset()
    local line = gw:session_of(c)
    assert.equal("client_gone", line["end"])
    assert.equal("command", line.phase)
    assert.equal(0, #up.peers)
  end)

  it("that closes in the middle of a command is a clean end", function()
    local c = connect()
    c:send "a LOGIN ali"
    c:half_close()
    c:expect_end "eof"
    assert.equal("client_closed", line_of(c)["end"])
  end)

  it("that half-closes behind its last command gets every answer", function()
    local c = connect()
    c:send "a LOGIN alice secret\r\nb NOOP\r\nc LOGOUT\r\n"
    c:half_close()
    c:expect_until "^a OK"
    c:expect "^b OK"
    c:expect "^%* BYE"
    c:expect "^c OK"
    c:expect_end "eof"
    assert.is_truthy(line_of(c)["end"]:find "closed$")
  end)

  it("that half-closes behind LOGIN alone logs nobody in", function()
    local c = connect()
    c:send "a LOGIN alice secret\r\n"
    c:half_close()
    c:expect_end "eof"
    assert.equal("client_closed", line_of(c)["end"])
    assert.is_nil(up.peers[1] and up.peers[1].user)
  end)

  it("that half-closes behind a wrong LOGIN still hears of the refusal", function()
    local c = connect()
    c:send "a LOGIN alice wrong\r\n"
    c:half_close()
    c:expect "^a NO"
    c:expect_end "eof"
    assert.equal("client_closed", line_of(c)["end"])
  end)

  it("may send its password as a literal, after the go-ahead or at once", function()
    local c = connect()
    c:send_line("a LOGIN {5}"):expect "^%+"
    c:send_line("alice {6}"):expect "^%+"
    c:send_line("secret"):expect_until "^a OK"
    line_of(c)
    up:clear()
    c = connect()
    c:send "a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n"
    c:expect_until "^a OK"
    assert.equal("secret", up:peer(1).password)
    line_of(c)
  end)

  it("can't announce a literal without bound", function()
    for _, size in ipairs { "4097+", "4294967296", "99999999999999999999999" } do
      local c = connect()
      c:send_line(("a LOGIN {%s}"):format(size))
      local line = c:read_line()
      assert.is_truthy(line:find "^a BAD" or line:find "^%* B")
      line_of(c)
    end
    assert.equal(0, #up.peers)
  end)

  it("that sends a line without end is stopped", function()
    local c = connect()
    c:send("a LOGIN " .. ("x"):rep(100000))
    assert.is_truthy(c:read_line():find "^%S+ B")
    loop.wait("the end", function() return c.ended end)
    assert.equal("malformed", line_of(c)["end"])
  end)

  it("may cancel SASL and begin again", function()
    local c = connect()
    c:send_line("a AUTHENTICATE PLAIN"):expect "^%+"
    c:send_line("*"):expect "^a BAD"
    c:send_line("b AUTHENTICATE LOGIN"):expect "^%+"
    c:send_line("YWxpY2U="):expect "^%+"
    c:send_line("*"):expect "^b BAD"
    c:send_line("c AUTHENTICATE PLAIN " .. client.plain("alice", "secret")):expect_until "^c OK"
    line_of(c)
    for listener, cancelled in pairs { pop3 = "^%-ERR", smtp = "^500 " } do
      c = connect(listener)
      if listener == "smtp" then c:send_line("EHLO x.test"):expect_until "^250 " end
      c:send_line("AUTH PLAIN"):expect(listener == "smtp" and "^334" or "^%+")
      c:send_line("*"):expect(cancelled)
      line_of(c)
    end
  end)

  it("with bytes that are not base64 has made an error, and too many of them end it", function()
    local c = connect()
    for _ = 1, 3 do
      c:send_line("a AUTHENTICATE PLAIN"):expect "^%+"
      c:send_line("!!!not base64!!!"):expect "^a BAD"
    end
    c:send_line("a AUTHENTICATE PLAIN"):expect "^%+"
    c:send_line "AGE="
    c:expect_until "^%* BYE"
    c:expect_end "eof"
    assert.equal("too_many_errors", line_of(c)["end"])
  end)

  it("with control characters in its name or password is refused, and nobody is asked", function()
    local c = connect()
    for _, credentials in ipairs { client.plain("ali\rce", "secret"),
      client.plain("alice", "sec\nret"), client.plain("alice\0", "secret") } do
      c:send_line("a AUTHENTICATE PLAIN " .. credentials)
      assert.is_truthy(c:expect "^a (%u+)" ~= "OK")
    end
    line_of(c)
    assert.equal(0, #up.peers)
  end)

  it("can't stretch the login timeout with commands, nor with logins that are refused", function()
    local began = loop.now()
    local c = connect "hasty"
    while true do
      c:send_line "n NOOP"
      c:send_line "a LOGIN alice wrong"
      local line = c:read_line()
      if line:find "^%* BYE" then break end
      assert.is_truthy(line:find "^n OK" or line:find "^a NO")
      assert.is_true(loop.now() - began < 60)
      loop.pass(0.02)
    end
    assert.is_true(loop.now() - began >= 0.95)
    assert.equal("timeout", line_of(c)["end"])
  end)

  it("that is silent hears goodbye at the login timeout", function()
    local c = connect "hasty"
    c:expect "^%* BYE"
    c:expect_end "eof"
    assert.equal("timeout", line_of(c)["end"])
  end)

  it("that speaks another protocol is sent away", function()
    local c = connect "smtp"
    c:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    loop.wait("the end", function() return c.ended end)
    assert.equal("abuse", line_of(c)["end"])
  end)

  it("never has its password logged", function()
    assert.is_nil(gw:log():find("secret", 1, true))
  end)
end)
