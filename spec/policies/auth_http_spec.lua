--- The auth_http policy, asked what nginx's auth servers are asked.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local mime = require "mime"
local shipped = require "spec.support.shipped"
local tcp = require "spec.support.tcp"
local upstream = require "spec.support.upstream"

describe("auth_http", function()
  local gw, auth, imap, pop3, tokens
  local answer -- what the auth server says: a table of headers, or a function(request)

  local function ok(headers)
    local all = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
      ["Auth-Port"] = tostring(imap.port) }
    for name, value in pairs(headers or {}) do all[name] = value end
    return all
  end

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    pop3 = upstream.start { script = upstream.pop3() }
    tokens = upstream.start { script = upstream.imap {
      capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=OAUTHBEARER AUTH=XOAUTH2" } }
    auth = http_server.start { answer = function(request, peer)
      if type(answer) == "function" then return answer(request, peer) end
      return { headers = answer }
    end }
    gw = shipped.start {
      policy = { "auth_http" },
      settings = ([[auth_http = {
        url = %q, timeout = 3, headers = { ["X-Auth-Key"] = "k e", ["A-First"] = "1" },
      }]]):format(auth.url),
      listen = {
        imap = 'mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5" }, limits = { attempts = 50 },',
        pop3 = 'mechanisms = { "PLAIN", "APOP" }, server_name = "mail.example",',
        smtp = 'mechanisms = { "PLAIN", "LOGIN" },',
        mx = 'protocol = "smtp", auth = "none",',
        tokens = 'protocol = "imap", tokens_in_clear = true, '
          .. 'mechanisms = { "OAUTHBEARER", "XOAUTH2" }, limits = { attempts = 50 },',
      },
    }
  end)
  before_each(function() answer = ok() end)
  after_each(function()
    client.discard_all()
    imap:clear()
    pop3:clear()
    tokens:clear()
    auth.requests = {}
  end)
  teardown(function()
    imap:stop()
    pop3:stop()
    tokens:stop()
    auth:stop()
    gw:stop()
  end)

  local function connect(listener)
    local c = client.connect(gw.ports[listener])
    c.banner = c:read_line()
    return c
  end

  --- All that nginx's server may rely on, byte for byte.
  local function head(c, listener, lines)
    local all = { "GET /auth HTTP/1.1", "Host: 127.0.0.1", "Connection: keep-alive" }
    for _, line in ipairs(lines) do table.insert(all, line) end
    for _, line in ipairs {
      "Client-Port: " .. tcp.port(c.fd), "Server-IP: 127.0.0.1",
      "Server-Port: " .. gw.ports[listener], "A-First: 1", "X-Auth-Key: k e",
    } do
      table.insert(all, line)
    end
    return table.concat(all, "\r\n") .. "\r\n\r\n"
  end

  it("asks about an IMAP login as nginx does", function()
    local c = connect "imap"
    c:send_line 'a LOGIN "ann" "p w%x"'
    c:expect "^a OK"
    assert.equal(head(c, "imap", {
      "Auth-Method: plain", "Auth-User: ann", "Auth-Pass: p%20w%25x", "Auth-Protocol: imap",
      "Auth-Login-Attempt: 1", "Client-IP: 127.0.0.1",
    }), auth.requests[1].head)
    assert.equal("ann", imap:peer(1).user)
    assert.equal("p w%x", imap:peer(1).password)
  end)

  it("sends the challenge and the digest of CRAM-MD5, and logs in with Auth-Pass", function()
    answer = ok { ["Auth-Pass"] = "the real one", ["Auth-User"] = "ann@example.org" }
    local c = connect "imap"
    c:send_line "a AUTHENTICATE CRAM-MD5"
    local challenge = mime.unb64(c:expect "^%+ (%S+)$")
    local digest = ("0123456789abcdef"):rep(2)
    c:send_line((mime.b64("ann " .. digest)))
    c:expect "^a OK"
    assert.equal(head(c, "imap", {
      "Auth-Method: cram-md5", "Auth-User: ann", "Auth-Pass: " .. digest,
      "Auth-Salt: " .. challenge, "Auth-Protocol: imap", "Auth-Login-Attempt: 1",
      "Client-IP: 127.0.0.1",
    }), auth.requests[1].head)
    assert.equal("ann@example.org", imap:peer(1).user)
    assert.equal("the real one", imap:peer(1).password)
  end)

  describe("of tokens", function()
    local JSON = '{"status":"invalid_token","scope":"mail"}'
    local METHODS = {
      OAUTHBEARER = { "oauthbearer", "n,a=ann,\1auth=Bearer to.ken+/=\1\1" },
      XOAUTH2 = { "xoauth2", "user=ann\1auth=Bearer to.ken+/=\1\1" },
    }

    for mechanism, method in pairs(METHODS) do
      before_each(function() answer = ok { ["Auth-Port"] = tostring(tokens.port) } end)

      local function say()
        local c = connect "tokens"
        c:send_line("a AUTHENTICATE " .. mechanism .. " " .. mime.b64(method[2]))
        return c
      end

      it("sends that of " .. mechanism .. " as Auth-Pass", function()
        local c = say()
        c:expect "^a OK"
        assert.equal(head(c, "tokens", {
          "Auth-Method: " .. method[1], "Auth-User: ann", "Auth-Pass: to.ken+/=",
          "Auth-Protocol: imap", "Auth-Login-Attempt: 1", "Client-IP: 127.0.0.1",
        }), auth.requests[1].head)
        assert.same({ "ann", "to.ken+/=", mechanism }, { tokens:peer(1).user, tokens:peer(1).token,
          tokens:peer(1).mechanism })
      end)

      it("logs in with a password instead of that of " .. mechanism, function()
        answer = ok { ["Auth-Port"] = tostring(tokens.port), ["Auth-Pass"] = "real" }
        say():expect "^a OK"
        assert.equal("real", tokens:peer(1).password)
        assert.is_nil(tokens:peer(1).token)
      end)

      it("tells what Auth-Error-SASL says, in " .. mechanism, function()
        for _, given in ipairs { JSON, mime.b64(JSON), "", "no JSON", "====" } do
          answer = { ["Auth-Status"] = "No such token", ["Auth-Wait"] = "0",
            ["Auth-Error-SASL"] = given }
          local c = say()
          local said = mime.unb64((c:expect "^%+ (%S+)$"))
          if #given > 8 then
            assert.equal(JSON, said)
          else
            assert.matches(mechanism == "XOAUTH2" and '"401"' or '"invalid_token"', said)
          end
          c:send_line "AQ=="
          c:expect "^a NO .*No such token"
          c:expect_end()
        end
      end)
    end

    it("takes no answer that says it twice", function()
      answer = function(_, peer)
        peer:send("HTTP/1.1 200 OK\r\nAuth-Status: no\r\nAuth-Error-SASL: {}\r\n"
          .. "Auth-Error-SASL: {}\r\nContent-Length: 0\r\n\r\n")
        peer:flush()
        peer:close()
      end
      local c = connect "tokens"
      c:send_line("a AUTHENTICATE XOAUTH2 " .. mime.b64(METHODS.XOAUTH2[2]))
      c:expect "^a NO %[UNAVAILABLE%]"
    end)
  end)

  it("sends the greeting's timestamp with APOP", function()
    answer = ok { ["Auth-Pass"] = "pw", ["Auth-Port"] = tostring(pop3.port) }
    local c = connect "pop3"
    local stamp = c.banner:match "<[^>]+@mail%.example>"
    local digest = ("f"):rep(32)
    c:send_line("APOP bob " .. digest):expect "^%+OK"
    assert.equal(head(c, "pop3", {
      "Auth-Method: apop", "Auth-User: bob", "Auth-Pass: " .. digest, "Auth-Salt: " .. stamp,
      "Auth-Protocol: pop3", "Auth-Login-Attempt: 1", "Client-IP: 127.0.0.1",
    }), auth.requests[1].head)
  end)

  it("does not log in with a digest when there is no Auth-Pass", function()
    answer = ok { ["Auth-Port"] = tostring(pop3.port) }
    local c = connect "pop3"
    c:send_line("APOP bob " .. ("f"):rep(32)):expect "^%-ERR %[SYS/TEMP%]"
    assert.equal(0, #pop3.peers)
  end)

  it("says Client-Host for SMTP, and counts the attempts", function()
    answer = { ["Auth-Status"] = "no", ["Auth-Wait"] = "0" }
    local c = connect "smtp"
    c:send_line("EHLO me.example"):expect_until "^250 "
    answer = function(request)
      return { headers = { ["Auth-Status"] = "attempt " .. request.headers["auth-login-attempt"],
        ["Auth-Wait"] = "1" } }
    end
    c:send_line("AUTH PLAIN " .. client.plain("eve", "one"))
    c:expect "^535 5%.7%.%d attempt 1"
    c:send_line("AUTH PLAIN " .. client.plain("eve", "two"))
    c:expect "^535 5%.7%.%d attempt 2"
    assert.equal(head(c, "smtp", {
      "Auth-Method: plain", "Auth-User: eve", "Auth-Pass: two", "Auth-Protocol: smtp",
      "Auth-Login-Attempt: 2", "Client-IP: 127.0.0.1", "Client-Host: [UNAVAILABLE]",
    }), auth.requests[2].head)
  end)

  it("asks about a recipient with the commands as they came", function()
    answer = { ["Auth-Status"] = "no such user", ["Auth-Wait"] = "1",
      ["Auth-Error-Code"] = "550 5.1.1" }
    local c = connect "mx"
    c:send_line("EHLO me.example"):expect_until "^250 "
    c:send_line("mail from:<a@b> SIZE=1"):expect "^250 "
    c:send_line "RCPT TO:<%41 b@c>"
    c:expect "^550 5%.1%.1 no such user"
    assert.equal(head(c, "mx", {
      "Auth-Method: none", "Auth-User: ", "Auth-Pass: ", "Auth-Protocol: smtp",
      "Auth-Login-Attempt: 1", "Client-IP: 127.0.0.1", "Client-Host: [UNAVAILABLE]",
      "Auth-SMTP-Helo: me.example", "Auth-SMTP-From: mail from:<a@b> SIZE=1",
      "Auth-SMTP-To: RCPT TO:<%41 b@c>",
    }), auth.requests[1].head)
  end)

  describe("with a hostile name or password", function()
    local FORMS = {
      "a b", "a%20b", "%", "%%", "%0d%0a", "a%0D%0AAuth-User: root", "a%00b", "%2520", "a+b",
      "a=b", "a:b", "a;b", "a,b", "a\"b", "a\\b", "a'b", "<a>", "a@b@c", "../../x", "a#b", "a?b&c",
      "caf\195\169", "\226\128\174rtl", "Auth-Status: OK", ": x", "  lead", "trail  ",
      "a\\r\\nb", "%E2%80%AE", ("x"):rep(200), ("%"):rep(200),
    }

    local function unescape(text)
      return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
    end

    it("asks about exactly that one, in one line, and about no two in the same words", function()
      local seen = {}
      answer = { ["Auth-Status"] = "no", ["Auth-Wait"] = "0" }
      for _, form in ipairs(FORMS) do
        auth.requests = {}
        local c = connect "imap"
        c:send_line(("a LOGIN {%d+}\r\n%s {%d+}\r\n%s"):format(#form, form, #form, form))
        c:expect "^a NO .*no$"
        local request = auth.requests[1]
        local user = request.head:match "\r\nAuth%-User: ([^\r\n]*)\r\nAuth%-Pass: "
        local password = request.head:match "\r\nAuth%-Pass: ([^\r\n]*)\r\nAuth%-Protocol: "
        assert.equal(form, unescape(user))
        assert.equal(form, unescape(password))
        assert.equal(head(c, "imap", {
          "Auth-Method: plain", "Auth-User: " .. user, "Auth-Pass: " .. password,
          "Auth-Protocol: imap", "Auth-Login-Attempt: 1", "Client-IP: 127.0.0.1",
        }), request.head)
        assert.is_nil(seen[user], form)
        assert.is_nil(user:find "[%z\1-\32]")
        seen[user] = true
        c:discard()
      end
    end)

    for title, form in pairs { NUL = "a\0b", CR = "a\rb", LF = "a\nb", DEL = "a\127b" } do
      it("never asks about one with a " .. title, function()
        local c = connect "smtp"
        c:send_line("EHLO me.example"):expect_until "^250 "
        c:send_line("AUTH LOGIN " .. mime.b64(form)):expect "^%d"
        c:send_line((mime.b64 "secret")):expect "^%d"
        c:send_line("AUTH PLAIN " .. client.plain("ann", form)):expect "^[45]%d%d "
        assert.equal(0, #auth.requests)
      end)
    end
  end)

  describe("told no", function()
    it("says so in the server's words and ends the session without Auth-Wait", function()
      answer = { ["Auth-Status"] = "Invalid login or password" }
      local c = connect "imap"
      c:send_line "a LOGIN ann bad"
      c:expect "^a NO .*Invalid login or password$"
      c:expect_end "eof"
    end)

    it("waits as long as Auth-Wait says, then lets the client try again", function()
      answer = { ["Auth-Status"] = "not yet", ["Auth-Wait"] = "1" }
      local c = connect "imap"
      c:send_line "a LOGIN ann bad"
      c:expect_silence(0.7)
      c:expect "^a NO .*not yet$"
      answer = ok()
      c:send_line("b LOGIN ann good"):expect "^b OK"
      assert.equal("2", auth.requests[2].headers["auth-login-attempt"])
    end)

    it("drops control bytes and more than 400 bytes of the text", function()
      answer = { ["Auth-Status"] = ("x"):rep(500), ["Auth-Wait"] = "0" }
      local c = connect "imap"
      c:send_line "a LOGIN ann bad"
      assert.equal(400, #c:expect "^a NO .-(x+)$")
    end)
  end)

  it("asks again after WAIT, as the same attempt", function()
    local count = 0
    answer = function()
      count = count + 1
      return { headers = count == 1 and { ["Auth-Status"] = "WAIT", ["Auth-Wait"] = "1" } or ok() }
    end
    local c = connect "imap"
    c:send_line("a LOGIN ann pw"):expect "^a OK"
    assert.equal(auth.requests[1].head, auth.requests[2].head)
  end)

  it("uses one connection for many logins", function()
    auth:clear()
    for i = 1, 20 do
      local c = connect "imap"
      c:send_line(("a LOGIN user%d pw"):format(i)):expect "^a OK"
      c:discard()
    end
    assert.equal(20, #auth.requests)
    assert.is_true(#auth.peers <= 1)
  end)

  it("reads the body away and goes on with the same connection", function()
    auth:clear()
    answer = function() return { headers = ok(), body = ("x"):rep(30000) } end
    for i = 1, 3 do
      local c = connect "imap"
      c:send_line(("a LOGIN user%d pw"):format(i)):expect "^a OK"
      c:discard()
    end
    assert.is_true(#auth.peers <= 2)
  end)

  it("asks once more when a kept connection turns out to be dead", function()
    local c = connect "imap"
    c:send_line("a LOGIN ann pw"):expect "^a OK"
    auth:clear() -- the connection was closed behind the gateway's back
    local requests = 0
    answer = function(_, peer)
      requests = requests + 1
      if requests == 2 then -- a question on the kept connection dies without an answer
        auth:peer(1):reset()
        return nil
      end
      return { headers = ok(), peer = peer }
    end
    for i = 1, 2 do
      local again = connect "imap"
      again:send_line(("a LOGIN user%d pw"):format(i)):expect "^a OK"
    end
    assert.equal(3, requests)
    assert.equal(2, #auth.peers)
  end)

  it("takes an IPv6 address in brackets and a name as Auth-Server", function()
    local six = upstream.start { ip = "::1", script = upstream.imap() }
    for server, up in pairs { ["::1"] = six, ["[::1]"] = six, localhost = imap } do
      answer = ok { ["Auth-Server"] = server, ["Auth-Port"] = tostring(up.port) }
      local c = connect "imap"
      c:send_line("a LOGIN ann pw"):expect("^a OK", 5)
    end
    client.discard_all()
    six:stop()
  end)
end)
