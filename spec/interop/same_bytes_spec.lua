--- After the login a client gets the same bytes through the gateway as straight from the servers.
local child = require "spec.support.child"
local interop = require "spec.support.interop"
local socket = require "socket"

local USER, PASSWORD = "erin@example.org", "moonlight"

-- Reads without leaving a trace, so that a second run meets the same mailbox; ends in LOGOUT.
local IMAP = table.concat({
  "b NOOP",
  "c EXAMINE INBOX",
  "d UID FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
  "e FETCH 1:* BODY.PEEK[]",
  "f SEARCH SUBJECT {5}\r\nlarge",
  "g NAMESPACE",
  "h STATUS Sent (MESSAGES UIDNEXT)",
  "i NONSENSE",
  "j FETCH 99 (BODY[",
  "k FETCH 1 BODY.PEEK[]<10.20>",
  "l LOGOUT",
  "",
}, "\r\n")

local POP3 = table.concat({
  "STAT", "LIST", "UIDL", "TOP 1 2", "RETR 1", "RETR 2", "RETR 99", "NONSENSE", "NOOP", "QUIT", "",
}, "\r\n")

local SMTP = table.concat({
  "EHLO client.test", "NOOP", "NONSENSE", "MAIL FROM:<erin@example.org> SIZE=100",
  "RCPT TO:<nobody@example.org>", "RCPT TO:<frank@example.org>", "RSET", "VRFY frank", "QUIT", "",
}, "\r\n")

local LOGINS = {
  imap = { "a LOGIN " .. USER .. " " .. PASSWORD .. "\r\n", "^a OK" },
  pop3 = { "USER " .. USER .. "\r\nPASS " .. PASSWORD .. "\r\n", "^%+OK.-\n%+OK.-\n%+OK" },
  submission = {
    "EHLO client.test\r\nAUTH PLAIN AGVyaW5AZXhhbXBsZS5vcmcAbW9vbmxpZ2h0\r\n", "^235",
  },
}

describe("after the login", function()
  local pair
  setup(function()
    pair = interop.start()
    pair.servers:deliver(USER, "small", "one\ntwo\n.\n..dots")
    pair.servers:deliver(USER, "large", ("0123456789abcdef\n"):rep(200000))
  end)
  teardown(function() if pair then pair:stop() end end)

  --- Logs in, lets `talk` act, and returns all that came after the login's reply.
  local function session(protocol, port, talk)
    local login, welcome = unpack(LOGINS[protocol])
    local connection = assert(socket.connect("127.0.0.1", port))
    connection:settimeout(30)
    assert(connection:send(login))
    local heard = ""
    repeat
      local line, why = connection:receive "*l"
      heard = protocol == "pop3" and heard .. (line or "") .. "\n" or line or ""
      assert(line, why)
    until heard:match(welcome)
    local got, message = talk(connection)
    connection:close()
    return assert(got, message)
  end

  --- Dovecot ends some replies with how long it took.
  local function without_times(text)
    return (text:gsub("%(%d+%.%d+[^)\r\n]*secs%)", "(some secs)"))
  end

  local function assert_same(protocol, talk)
    local straight = without_times(session(protocol, pair.servers[protocol], talk))
    local through = without_times(session(protocol, pair.ports[protocol], talk))
    assert(#straight > 100, straight)
    if straight == through then return end
    local at = 1
    while straight:byte(at) == through:byte(at) do at = at + 1 end
    error(("byte %d differs: straight %q, through the gateway %q"):format(at,
      straight:sub(at, at + 200), through:sub(at, at + 200)))
  end

  for protocol, script in pairs { imap = IMAP, pop3 = POP3, submission = SMTP } do
    it(protocol .. " is the same when all is asked at once", function()
      assert_same(protocol, function(connection)
        assert(connection:send(script))
        return connection:receive "*a"
      end)
    end)

    it(protocol .. " is the same when asked byte by byte", function()
      assert_same(protocol, function(connection)
        connection:setoption("tcp-nodelay", true)
        for byte in script:gmatch "." do assert(connection:send(byte)) end
        assert(connection:send "")
        return connection:receive "*a"
      end)
    end)

    it(protocol .. " is the same when the client closes its half", function()
      assert_same(protocol, function(connection)
        assert(connection:send((script:gsub("%w* ?%u+\r\n$", ""))))
        connection:shutdown "send"
        return connection:receive "*a"
      end)
    end)
  end

  it("a large mail reaches the server as it was sent", function()
    local mail = "Subject: upload\r\n\r\n" .. ("fedcba9876543210\r\n"):rep(150000)
    session("imap", pair.ports.imap, function(connection)
      connection:send(("b APPEND Sent {%d}\r\n"):format(#mail))
      assert.matches("^%+ ", connection:receive "*l")
      assert(connection:send(mail .. "\r\nc LOGOUT\r\n"))
      return connection:receive "*a"
    end)
    local code, stored = child.run { "curl", "-sS", "-u", USER .. ":" .. PASSWORD,
      ("imap://127.0.0.1:%d/Sent;UID=1"):format(pair.servers.imap) }
    assert.equal(0, code)
    assert.is_true(stored == mail)
  end)

  describe("nc -N, which closes its half at once,", function()
    local function nc(protocol, text)
      pair:write("input", text)
      local code, output = child.run { "sh", "-c",
        ("nc -N 127.0.0.1 %d <%s/input"):format(pair.ports[protocol], pair.root) }
      assert.equal(0, code, output)
      return output
    end

    it("gets answers to IMAP commands sent behind LOGIN", function()
      local output = nc("imap", LOGINS.imap[1] .. "b EXAMINE INBOX\r\nc LOGOUT\r\n")
      for _, reply in ipairs { "\na OK", "\n%* 2 EXISTS\r\n", "\nb OK", "\n%* BYE", "\nc OK" } do
        assert.matches(reply, output)
      end
    end)

    it("gets answers to POP3 commands sent behind PASS", function()
      local output = nc("pop3", LOGINS.pop3[1] .. "STAT\r\nQUIT\r\n")
      assert.matches("\n%+OK 2 %d+\r\n%+OK [^\n]+\r\n$", output)
    end)

    it("gets answers to SMTP commands sent behind AUTH", function()
      local output = nc("submission", LOGINS.submission[1] .. "NOOP\r\nQUIT\r\n")
      assert.matches("\n235 [^\n]+\n250 [^\n]+\n221 [^\n]+\n$", output)
    end)
  end)
end)
