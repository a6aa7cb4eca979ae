--- Auth servers that fail: a temporary failure for the one who asked, and nothing for the others.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local shipped = require "spec.support.shipped"
local unistd = require "posix.unistd"
local upstream = require "spec.support.upstream"

local function lines(...) return table.concat({ ... }, "\r\n") .. "\r\n\r\n" end

--- `other` has settings of its own: then a function of Lua chooses which server to ask.
local WAYS = {
  ["an auth server"] = "url = %q, timeout = %g",
  ["an auth server that Lua asks and"] =
    'url = %q, timeout = %g, listeners = { other = { url = "http://127.0.0.1:1/" } }',
}

for way, settings in pairs(WAYS) do describe(way, function()
  local gw, auth, imap, ok

  local function start(timeout, more)
    return shipped.start { policy = { "auth_http" }, listen = { imap = more or "" },
      settings = ("auth_http = { " .. settings .. " }"):format(auth.url, timeout) }
  end

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    ok = ("Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: %d"):format(imap.port)
    auth = http_server.start { answer = function() end }
    gw = start(0.6)
  end)
  after_each(function()
    client.discard_all()
    imap:clear()
    auth:clear()
    auth.requests = {}
  end)
  teardown(function()
    imap:stop()
    auth:stop()
    gw:stop()
  end)

  local function login(to)
    local c = client.connect((to or gw).ports.imap)
    c:expect "^%* OK"
    return c:send_line "a LOGIN ann secret"
  end

  --- The server says these bytes and closes.
  local function says(bytes)
    return function(_, peer)
      peer:send(bytes)
      peer:flush()
      peer:close()
    end
  end

  local function expect_tempfail()
    local c = login()
    c:expect "^a NO %[UNAVAILABLE%]"
    c:send_line("n NOOP"):expect "^n OK"
    assert.equal(0, #imap.peers)
    c:discard()
  end

  local function head(status, ...)
    return lines("HTTP/1.1 " .. status, "Content-Length: 0", ...)
  end

  it("that is right lets the user in", function()
    auth.answer = says(head("200 OK", ok))
    login():expect "^a OK"
  end)

  for title, bytes in pairs {
    ["says 500 with the headers of an OK"] = function() return head("500 Oops", ok) end,
    ["says 403 with the headers of an OK"] = function() return head("403 Forbidden", ok) end,
    ["redirects"] = function() return head("302 Found", "Location: /other", ok) end,
    ["only says 100"] = function() return head("100 Continue", ok) end,
    ["leaves Auth-Status out"] = function() return head("200 OK", (ok:gsub("^[^\n]+\n", ""))) end,
    ["leaves Auth-Status empty"] = function() return head("200 OK", (ok:gsub(" OK", "", 1))) end,
    ["says Auth-Status twice"] = function() return head("200 OK", ok, "auth-status: OK") end,
    ["refuses and accepts"] = function() return head("200 OK", "Auth-Status: no", ok) end,
    ["says Auth-Server twice"] = function() return head("200 OK", ok, "Auth-Server: ::1") end,
    ["says Auth-Port twice"] = function() return head("200 OK", ok, "Auth-Port: 25") end,
    ["says Auth-User twice"] = function()
      return head("200 OK", ok, "Auth-User: a", "Auth-User: b")
    end,
    ["says no Auth-Server"] = function() return head("200 OK", (ok:gsub("Server", "Other"))) end,
    ["says no Auth-Port"] = function() return head("200 OK", (ok:gsub("Port", "Other"))) end,
    ["names a server that is none"] = function()
      return head("200 OK", (ok:gsub("127.0.0.1", "127.0.0.1/x")))
    end,
    ["names a server with a blank"] = function()
      return head("200 OK", (ok:gsub("127.0.0.1", "a b")))
    end,
    ["names half a bracket"] = function()
      return head("200 OK", (ok:gsub("127.0.0.1", "[::1")))
    end,
    ["speaks something else"] = function() return "220 mail ESMTP\r\n" end,
    ["says no status line"] = function() return lines(ok) end,
    ["folds a header"] = function() return head("200 OK", "X: a\r\n b", ok) end,
    ["puts a NUL into a header"] = function() return head("200 OK", "X: a\0b", ok) end,
    ["ends before the empty line"] = function()
      return "HTTP/1.1 200 OK\r\n" .. ok .. "\r\nContent-Length: 0\r\n"
    end,
    ["sends 64 KiB of headers"] = function()
      return head("200 OK", ok, ("X-Filler: " .. ("x"):rep(1000) .. "\r\n"):rep(64) .. "X: y")
    end,
    ["sends one header of 64 KiB"] = function()
      return head("200 OK", ok, "X: " .. ("x"):rep(65536))
    end,
    ["has a name with control bytes for the user"] = function()
      return head("200 OK", ok, "Auth-User: a\tb")
    end,
    ["sends chunks and a length"] = function()
      return head("200 OK", ok, "Transfer-Encoding: chunked")
    end,
    ["closes at once"] = function() return "" end,
  } do
    it("that " .. title .. " is a temporary failure", function()
      auth.answer = says(bytes())
      expect_tempfail()
    end)
  end

  for _, port in ipairs { "0", "-1", "65536", "143x", "", "0x10", "99999999999999999999", "1 2" } do
    it(("that says Auth-Port %q is a temporary failure"):format(port), function()
      auth.answer = says(head("200 OK", (ok:gsub("Port: %d+", "Port: " .. port))))
      expect_tempfail()
    end)
  end

  it("that resets the connection is a temporary failure", function()
    auth.answer = function(_, peer) peer:reset() end
    expect_tempfail()
  end)

  it("that hangs costs its own client the timeout, and the others nothing", function()
    auth.answer = function(request)
      if request.headers["auth-user"] ~= "slow" then
        return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
          ["Auth-Port"] = tostring(imap.port) } }
      end
    end
    local slow = client.connect(gw.ports.imap)
    slow:expect "^%* OK"
    slow:send_line "a LOGIN slow secret"
    loop.wait("the slow question", function() return auth.requests[1] end)
    login():expect "^a OK"
    assert.equal("", slow.input)
    slow:expect("^a NO %[UNAVAILABLE%]", 8) -- sooner than the hook's ten seconds
  end)

  it("that drips is cut off at the timeout, which is for the whole answer", function()
    auth.answer = function(request, peer)
      local bytes = head("200 OK", ok)
      for i = 1, #bytes do
        peer:send(bytes:sub(i, i))
        request.sent = i
        loop.pass(0.05)
        if peer.ended then return end
      end
    end
    expect_tempfail()
    assert.is_true(auth.requests[1].sent < #head("200 OK", ok))
  end)

  it("is hung up on when the client is gone mid-question", function()
    auth.answer = function() end
    local patient = start(60)
    local c = login(patient)
    local peer = auth:peer(1)
    loop.wait("the question", function() return auth.requests[1] end)
    c:reset()
    loop.wait("the connection to end", function() return peer.ended end)
    assert.equal(0, #imap.peers)
    patient:stop()
  end)

  it("is hung up on when the hook's own time is over", function()
    auth.answer = function() end
    local hasty = start(60, "limits = { hook_timeout = 0.3 },")
    local c = login(hasty)
    local peer = auth:peer(1)
    c:expect("^a NO %[UNAVAILABLE%]", 8)
    loop.wait("the connection to end", function() return peer.ended end)
    hasty:expect_log 'error.-policy "auth_http", hook "auth": no answer in time'
    hasty:stop()
  end)
end) end

describe("auth_http behind another policy", function()
  it("is asked when that has no opinion, and not when it has", function()
    local imap = upstream.start { script = upstream.imap() }
    local auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(imap.port) } }
    end }
    local gw = shipped.start {
      policy = { "bans", "auth_http" }, listen = { imap = "" },
      settings = ("auth_http = { url = %q }"):format(auth.url),
      files = { ["scripts/bans.lua"] = [[
        local moongate = require "moongate"
        return { auth = function(_, credentials)
          if credentials.user == "eve" then return moongate.reject { text = "banned" } end
        end }
      ]] },
    }
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN eve secret"):expect "^a NO .*banned"
    assert.equal(0, #auth.requests)
    c:send_line("b LOGIN ann secret"):expect "^b OK"
    assert.equal("ann", auth.requests[1].headers["auth-user"])
    client.discard_all()
    auth:stop()
    imap:stop()
    gw:stop()
  end)
end)

describe("several auth servers", function()
  local gw, first, second, imap

  local function answer_ok()
    return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
      ["Auth-Port"] = tostring(imap.port) } }
  end

  local function start(urls, more)
    gw = shipped.start {
      policy = { "auth_http" },
      settings = ("auth_http = { urls = { %s }, timeout = 0.5, %s }"):format(urls, more or ""),
      listen = { imap = "limits = { attempts = 20 }," },
    }
  end

  setup(function() imap = upstream.start { script = upstream.imap() } end)
  before_each(function()
    first = http_server.start { name = "first", answer = answer_ok }
    second = http_server.start { name = "second", answer = answer_ok }
  end)
  after_each(function()
    client.discard_all()
    first:stop()
    second:stop()
    imap:clear()
    gw:stop()
  end)
  teardown(function() imap:stop() end)

  local function login(expected)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect("^a " .. expected, 5)
    c:discard()
  end

  local function both() return ("%q, %q"):format(first.url, second.url) end

  it("are asked in order: the second not while the first answers", function()
    start(both())
    for _ = 1, 3 do login "OK" end
    assert.equal(3, #first.requests)
    assert.equal(0, #second.requests)
  end)

  it("stand in for one that refuses connections", function()
    start(both())
    first:stop()
    login "OK"
    assert.equal(1, #second.requests)
    gw:expect_log "(warn.-auth_http http://127)"
  end)

  for title, answer in pairs {
    hangs = function() end,
    resets = function(_, peer) peer:reset() end,
    ["says 503"] = function() return { status = "503 Busy" } end,
  } do
    it(("stand in for one that %s, which is then asked last"):format(title), function()
      start(both())
      first.answer = answer
      login "OK"
      login "OK"
      assert.equal(1, #first.requests)
      assert.equal(2, #second.requests)
    end)
  end

  it("do not stand in for one that says no", function()
    start(both())
    first.answer = function()
      return { headers = { ["Auth-Status"] = "no", ["Auth-Wait"] = "0" } }
    end
    login "NO .*no$"
    assert.equal(0, #second.requests)
  end)

  it("that all fail are a temporary failure", function()
    start(both())
    first.answer = function(_, peer) peer:reset() end
    second.answer = first.answer
    login "NO %[UNAVAILABLE%]"
    assert.equal(1, #second.requests)
  end)

  it("are tried as often as retries says", function()
    start(("%q"):format(first.url), "retries = 2")
    first.answer = function(_, peer)
      if #first.requests == 3 then return answer_ok() end
      peer:reset()
    end
    login "OK"
    assert.equal(3, #first.requests)
  end)
end)

describe("auth_http's configuration", function()
  local function check(settings)
    local ok, message = pcall(shipped.start, {
      policy = { "auth_http" }, settings = settings, listen = { imap = "" },
    })
    if ok then message:stop() end
    return ok, tostring(message)
  end

  for settings, expected in pairs {
    [ [[auth_http = { url = "https://127.0.0.1/auth" }]] ] = "tls_profiles has no \"default\"",
    [ [[auth_http = { url = "https://unix:/a/b" }]] ] = "https needs the name of a host",
    [ [[auth_http = { url = "http://a/", pin = "sha256/AAAA" }]] ] = "44 digits of base64",
    [ [[auth_http = { }]] ] = "`url` or `urls` is missing",
    [ [[auth_http = { url = "http://" }]] ] = "is not http[s]://host",
    [ [[auth_http = { url = "http://a:0/" }]] ] = "is not http[s]://host",
    [ [[auth_http = { url = "http://a b/" }]] ] = "not a URL",
    [ [[auth_http = { url = "http://a/", headers = { ["X Y"] = "z" } }]] ] = "not the name",
    [ [[auth_http = { url = "http://a/", headers = { X = "a\r\nb" } }]] ] = "one line of text",
    [ [[auth_http = { url = "http://a/", timeot = 5 }]] ] = "did you mean \"timeout\"",
  } do
    it(("says %s"):format(expected), function()
      local ok, message = check(settings)
      assert.is_false(ok)
      assert.truthy(message:find(expected, 1, true), message)
    end)
  end
end)

describe("an auth server on a unix socket", function()
  it("is asked for localhost, at its uri", function()
    local path = os.tmpname()
    os.remove(path)
    local imap = upstream.start { script = upstream.imap() }
    local auth = http_server.start { path = path, answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(imap.port) } }
    end }
    local gw = shipped.start {
      policy = { "auth_http" },
      settings = ('auth_http = { url = "http://unix:%s:/mail/auth?x=1" }'):format(path),
      listen = { imap = "" },
    }
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect "^a OK"
    assert.equal("/mail/auth?x=1", auth.requests[1].target)
    assert.equal("localhost", auth.requests[1].headers.host)
    client.discard_all()
    auth:stop()
    imap:stop()
    gw:stop()
    unistd.unlink(path)
  end)
end)
