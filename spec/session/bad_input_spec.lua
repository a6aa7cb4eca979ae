--- Whatever bytes come from a client, an upstream or an auth server: an answer or a closed
--- connection, one line in the log, and nothing of anybody else's.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local mime = require "mime"
local mutate = require "spec.support.mutate"
local processes = require "spec.support.processes"
local upstream = require "spec.support.upstream"

local ROUNDS, BATCH = 5, 40 -- of sessions, for each protocol and each of the three sides

local LIMITS = [[limits = { login_timeout = 8, hook_timeout = 2, upstream_timeout = 0.5,
  connect_timeout = 2, idle_timeout = 20, close_timeout = 0.5 },]]

--- What clients say; %u is the user's name, %p the PLAIN response.
local DIALOGS = {
  imap = {
    'a CAPABILITY\r\nb ID ("name" "x" "v" NIL)\r\nc LOGIN %u {6}\r\nsecret\r\nd NOOP\r\n',
    'a LOGIN {8+}\r\n%u "secret"\r\nb SELECT INBOX\r\nc LOGOUT\r\n',
    "a AUTHENTICATE PLAIN %p\r\nb NOOP\r\n",
    "a AUTHENTICATE PLAIN\r\n%p\r\nb NOOP\r\n",
    "a AUTHENTICATE LOGIN\r\n%e\r\nc2VjcmV0\r\nb NOOP\r\n",
    "a AUTHENTICATE CRAM-MD5\r\n*\r\nb NOOP\r\nc LOGOUT\r\n",
    'a LOGIN "%u" "wrong\\"one"\r\nb LOGIN %u secret\r\n',
  },
  pop3 = {
    "CAPA\r\nUSER %u\r\nPASS secret\r\nSTAT\r\nQUIT\r\n",
    "AUTH\r\nAUTH PLAIN %p\r\nSTAT\r\n",
    "AUTH PLAIN\r\n%p\r\nQUIT\r\n",
    "AUTH LOGIN\r\n%e\r\nc2VjcmV0\r\n",
    "APOP %u 0123456789abcdef0123456789abcdef\r\nNOOP\r\nQUIT\r\n",
    "AUTH CRAM-MD5\r\ndXNlciAwMTIzNDU2Nzg5YWJjZGVm\r\nUSER %u\r\nPASS secret\r\n",
  },
  smtp = {
    "EHLO [127.0.0.1]\r\nAUTH PLAIN %p\r\nMAIL FROM:<a@b.example>\r\n",
    "EHLO c.test\r\nAUTH LOGIN\r\n%e\r\nc2VjcmV0\r\nQUIT\r\n",
    "HELO c.test\r\nAUTH LOGIN %e\r\nc2VjcmV0\r\nRSET\r\n",
    "EHLO c.test\r\nAUTH CRAM-MD5\r\n*\r\nNOOP\r\nRSET\r\nVRFY x\r\nQUIT\r\n",
    "EHLO c.test\r\nMAIL FROM:<a@b.example> SIZE=1\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
  },
  mx = {
    "EHLO c.test\r\nMAIL FROM:<a@b.example> SIZE=1 BODY=8BITMIME\r\n"
      .. "RCPT TO:<%u@d.example>\r\nDATA\r\n",
    "HELO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<\"%u x\"@d.example> NOTIFY=NEVER\r\nQUIT\r\n",
  },
}

--- What upstreams say: a greeting, and an answer to each line.
local REPLIES = {
  imap = {
    { "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+] ready\r\n",
      "* CAPABILITY IMAP4rev1 IDLE\r\n$t OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n" },
    { "* OK ready\r\n", "* CAPABILITY IMAP4rev1\r\n$t OK done\r\n", "+ go\r\n", "+ go\r\n",
      "* 1 EXISTS\r\n* TEXT {5}\r\nab\r\nc\r\n$t OK in\r\n" },
    { "* PREAUTH ready\r\n" }, { "* BYE [UNAVAILABLE] later\r\n" },
    { "* OK ready\r\n", "$t NO [AUTHENTICATIONFAILED] no\r\n", "$t NO no\r\n" },
  },
  pop3 = {
    { "+OK ready <1.2@x>\r\n", "+OK\r\nTOP\r\nSASL PLAIN LOGIN\r\n.\r\n", "+ \r\n", "+OK in\r\n" },
    { "+OK ready\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "+OK logged in\r\n" },
    { "-ERR [SYS/TEMP] later\r\n" }, { "+OK\r\n", "-ERR\r\n", "-ERR [AUTH] no\r\n", "-ERR\r\n" },
  },
  smtp = {
    { "220-up.test\r\n220 ESMTP\r\n",
      "250-up.test\r\n250-XCLIENT ADDR NAME LOGIN\r\n250 AUTH PLAIN LOGIN\r\n",
      "220 up.test\r\n", "250-up.test\r\n250 AUTH PLAIN LOGIN\r\n",
      "235-2.7.0 in\r\n235 2.7.0 you are\r\n" },
    { "220 x\r\n", "250-x\r\n250 AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n",
      "334 UGFzc3dvcmQ6\r\n", "235 ok\r\n" },
    { "421 4.3.2 later\r\n" }, { "554 5.7.1 no\r\n" },
    { "220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n", "535-5.7.8 no\r\n535 5.7.8 no\r\n",
      "454 4.7.0 x\r\n" },
  },
}

--- What auth servers say; $p is the port of an upstream.
local ANSWERS = {
  "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: $p\r\n\r\n",
  "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: $p\r\n"
    .. "Auth-User: other\r\nAuth-Pass: different\r\nContent-Length: 3\r\n\r\nabc",
  "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 1\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nAuth-Status: WAIT\r\nAuth-Wait: 1\r\n\r\n"
    .. "3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: [::1]\r\n"
    .. "Auth-Port: 1\r\nAuth-Error-Code: 535 5.7.0\r\nConnection: close\r\n\r\n",
  "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
}

local function set(names)
  local all = {}
  for name in names:gmatch "%S+" do all[name] = true end
  return all
end

-- A hang would be a timeout.
local OF_CLIENTS = set "client_closed client_quit upstream_closed malformed abuse too_many_errors"
local OF_UPSTREAMS = set [[client_closed client_quit client_gone upstream_closed upstream_lost
  upstream_garbage upstream_greeting upstream_preauth upstream_no_login upstream_refused
  upstream_unreachable upstream_timeout]]

local POLICY = [[
local moongate = require "moongate"
local UPSTREAM = { imap = %q, pop3 = %q, smtp = %q }
return {
  auth = function(session, credentials)
    if credentials.password and credentials.password:equals "secret" then
      return moongate.accept { upstream = UPSTREAM[session.protocol] }
    end
    return moongate.reject { reason = "bad-credentials" }
  end,
  rcpt = function(session) return moongate.accept { upstream = UPSTREAM.smtp } end,
}
]]

local function listener(name, protocol, policy, more)
  return ('c.listen %q { address = "127.0.0.1:0", protocol = %q, policy = { %q }, %s %s },\n')
    :format(name, protocol, policy, more or "", LIMITS)
end

--- A server that answers lines as `replies` say, damaged by `random`, and then says no more.
local function damaged(random, replies)
  return function(peer)
    local tag = "x"
    for i, reply in ipairs(replies) do
      if i > 1 then
        local line = peer:read_line(false)
        if not line then break end
        tag = line:match "^(%w+) " or tag
      end
      local text = reply:gsub("%$t", (tag:gsub("%%", "%%%%")))
      if random(2) == 1 then text = mutate.text(random, text) end
      for _, piece in ipairs(mutate.pieces(random, text)) do peer:send(piece) end
    end
    if random(3) == 1 then peer:half_close() end
    loop.wait("the end", function() return peer.ended end, false)
    peer:close()
  end
end

describe("bad input", function()
  local gw, ups, auth, workers

  --- Serves whoever logs in, and tells each their own name.
  local function after(peer)
    peer:send_line("you are " .. tostring(peer.user))
    loop.wait("the end", function() return peer.ended end, false)
    peer:close()
  end

  setup(function()
    ups = {}
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      ups[protocol] = upstream.start { script = upstream[protocol] { after = after } }
    end
    auth = http_server.start { answer = function() end }
    local everything = 'mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5" },'
    gw = gateway.start { files = {
      ["scripts/policy.lua"] = POLICY:format(ups.imap.address, ups.pop3.address, ups.smtp.address),
      ["moongate.lua"] = 'local c = require "moongate.config"\nreturn c.gateway { workers = 1,\n'
        .. ('settings = { auth_http = { url = %q, timeout = 0.5 } },\n'):format(auth.url)
        .. 'log = { level = "debug" },\n'
        .. listener("imap", "imap", "policy", everything)
        .. listener("pop3", "pop3", "policy", 'mechanisms = { "PLAIN", "CRAM-MD5", "APOP" },')
        .. listener("smtp", "smtp", "policy", everything)
        .. listener("mx", "smtp", "policy", 'auth = "none",')
        .. listener("asking", "imap", "auth_http") .. "}\n",
    } }
    workers = processes.children(gw.process.pid)
  end)
  after_each(function()
    client.discard_all()
    for _, up in pairs(ups) do up:clear() end
    auth:clear()
  end)
  teardown(function()
    for _, up in pairs(ups) do up:stop() end
    auth:stop()
    gw:stop()
  end)

  --- How the sessions have ended that the log tells of from `offset` on, by the client's port.
  local function ends_by_port(offset)
    local ends = {}
    for line in gw:log():sub(offset):gmatch "[^\n]+" do
      local port, why = line:match " session=%w+ .* client=127%.0%.0%.1:(%d+) .* end=([%l_]+)"
      if port then
        assert.is_nil(ends[tonumber(port)])
        ends[tonumber(port)] = why
      end
    end
    return ends
  end

  --- Runs sessions of `speak(c, number)`: each ends, in one line, and saw no name but its own.
  -- Clients leave once they have spoken, or when `patience` seconds are over.
  local function storm(name, speak, patience)
    local number, greeted, seen = 0, 0, {}
    for _ = 1, ROUNDS do
      local batch, before, offset = {}, gw:ended_count(), #gw:log() + 1
      for i = 1, BATCH do
        number = number + 1
        local c = client.connect(gw.ports[name])
        c.mark = ("mark%04d"):format(number)
        speak(c)
        batch[i] = c
      end
      if patience then loop.pass(patience) end
      for _, c in ipairs(batch) do c:half_close() end
      loop.wait("all answers", function()
        for _, c in ipairs(batch) do
          if not c.ended then return false end
        end
        return true
      end, 20)
      for _, c in ipairs(batch) do
        c:close()
        for mark in c:all():gmatch "mark%d%d%d%d" do assert.equal(c.mark, mark) end
        if c:all():find("you are " .. c.mark, 1, true) then greeted = greeted + 1 end
      end
      gw:await_ended(before + BATCH, 20)
      local ends = ends_by_port(offset)
      for _, c in ipairs(batch) do
        local why = assert(ends[c.port], c.name)
        seen[why] = (seen[why] or 0) + 1
      end
      client.discard_all()
      for _, up in pairs(ups) do up:clear() end
    end
    assert.same(workers, processes.children(gw.process.pid)) -- nobody died
    return seen, greeted
  end

  local function fill(text, c)
    return (text:gsub("%%(%a)", {
      u = c.mark, p = client.plain(c.mark, "secret"), e = mime.b64(c.mark),
    }))
  end

  for name, dialogs in pairs(DIALOGS) do
    it("from clients of " .. name, function()
      local random = mutate.source(#name * 1000 + name:byte())
      local seen, greeted = storm(name, function(c)
        local text = mutate.text(random, fill(dialogs[random(#dialogs)], c))
        for _, piece in ipairs(mutate.pieces(random, text)) do c:send(piece) end
      end)
      for why in pairs(seen) do assert.is_true(OF_CLIENTS[why], why) end
      assert.is_true(greeted > 0 or name == "mx")
    end)
  end

  for name, replies in pairs(REPLIES) do
    it("from upstreams of " .. name, function()
      local random, good = mutate.source(name:byte(2)), ups[name].script
      finally(function() ups[name].script = good end)
      ups[name].script = function(peer) damaged(random, replies[random(#replies)])(peer) end
      local seen = storm(name, function(c) c:send(fill(DIALOGS[name][1], c)) end, 0.7)
      for why in pairs(seen) do assert.is_true(OF_UPSTREAMS[why], why) end
      assert.is_true(seen.upstream_garbage > 0)
    end)
  end

  it("from an auth server", function()
    local random = mutate.source(99)
    auth.answer = function(_, peer)
      local text = ANSWERS[random(#ANSWERS)]:gsub("%$p", tostring(ups.imap.port))
      if random(2) == 1 then text = mutate.text(random, text) end
      for _, piece in ipairs(mutate.pieces(random, text)) do peer:send(piece) end
      peer:flush()
      if random(4) > 1 then peer:close() end
    end
    local seen, greeted = storm("asking", function(c) c:send(fill(DIALOGS.imap[3], c)) end, 0.8)
    for why in pairs(seen) do assert.is_true(OF_UPSTREAMS[why], why) end
    assert.is_true(greeted > 0)
  end)

  it("leaves a gateway that serves, holds nothing, and is idle", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN alice secret"):expect_until "^a OK"
    c:discard()
    gw:session_of(c)
    local before = processes.cpu(workers[1])
    loop.pass(1)
    assert.is_true(processes.cpu(workers[1]) - before < 0.3)
    assert.is_nil(gw:log():find("secret", 1, true))
    assert.is_nil(gw:log():find("c2VjcmV0", 1, true))
  end)
end)
