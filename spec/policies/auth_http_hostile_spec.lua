--- What auth servers are told in the words of others: the reverse name of a client, its EHLO, its
--- MAIL and RCPT. None of it can add a line to the request.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local http_server = require "spec.support.http_server"
local shipped = require "spec.support.shipped"

local REVERSE = "1.0.0.127.in-addr.arpa"

--- The names of the fields of a request, in its order.
local FIELDS = "Host Connection Auth-Method Auth-User Auth-Pass Auth-Protocol Auth-Login-Attempt "
  .. "Client-IP Client-Host Auth-SMTP-Helo Auth-SMTP-From Auth-SMTP-To Client-Port Server-IP "
  .. "Server-Port"

describe("an auth server that is asked about mail", function()
  local gw, auth, dns
  local names = {}

  setup(function()
    auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "no", ["Auth-Wait"] = "0" } }
    end }
    dns = dns_server.start(names)
    gw = shipped.start {
      policy = { "auth_http" },
      settings = ("auth_http = { url = %q }"):format(auth.url),
      more = ("resolver = { %q },"):format(dns.address),
      listen = {
        mx = 'protocol = "smtp", auth = "none", limits = { errors = 50 },',
        named = 'protocol = "smtp", auth = "none", resolve_client = true,',
      },
    }
  end)
  before_each(function()
    auth.requests = {}
    names[REVERSE] = nil
  end)
  after_each(client.discard_all)
  teardown(function()
    auth:stop()
    dns:stop()
    gw:stop()
  end)

  local function connect(listener)
    local c = client.connect(gw.ports[listener])
    c:expect "^220 "
    return c
  end

  --- The one request there was, which has the fields that it should have.
  local function request()
    local one = auth.requests[1]
    local seen = {}
    for name in one.head:gmatch "\r\n([^:\r\n]+):" do table.insert(seen, name) end
    assert.equal(FIELDS, table.concat(seen, " "))
    assert.equal(1, #auth.requests)
    return one
  end

  for _, name in ipairs {
    "evil\r\nAuth-User: root.test", "evil\nX: y.test", "a b.test", "a\0b.test", "a%0d%0a.test",
    "a_b.test", "caf\195\169.test", "a\"b.test", "a\\b.test", "a\127b.test", "[UNAVAILABLE]",
  } do
    it(("never hears the reverse name %q"):format(name), function()
      names[REVERSE] = { PTR = { name } }
      names[name:lower()] = { A = { "127.0.0.1" } }
      local c = connect "named"
      c:send_line("EHLO me.test"):expect_until "^250 "
      c:send_line("MAIL FROM:<a@b>"):expect "^250 "
      c:send_line("RCPT TO:<c@d>"):expect "^550 "
      assert.equal("[TEMPUNAVAIL]", request().headers["client-host"])
    end)
  end

  it("hears a good one, in small letters", function()
    names[REVERSE] = { PTR = { "Good-1.test" } }
    names["good-1.test"] = { A = { "127.0.0.9", "127.0.0.1" } }
    local c = connect "named"
    c:send_line("EHLO me.test"):expect_until "^250 "
    c:send_line("MAIL FROM:<a@b>"):expect "^250 "
    c:send_line("RCPT TO:<c@d>"):expect "^550 "
    assert.equal("good-1.test", request().headers["client-host"])
  end)

  for _, text in ipairs {
    "%0d%0aAuth-User:%20root", "a:b", "Auth-Status:OK", "caf\195\169", "\226\128\174", "\"x\"",
    "\\r\\n", ("x"):rep(200),
  } do
    it(("hears %q as it was said"):format(text:sub(1, 30)), function()
      local c = connect "mx"
      c:send_line("EHLO " .. text):expect_until "^250 "
      c:send_line(("MAIL FROM:<%s@b> SIZE=1"):format(text)):expect "^250 "
      c:send_line(("RCPT TO:<%s@d>"):format(text)):expect "^550 "
      local headers = request().headers
      assert.equal(text, headers["auth-smtp-helo"])
      assert.equal(("MAIL FROM:<%s@b> SIZE=1"):format(text), headers["auth-smtp-from"])
      assert.equal(("RCPT TO:<%s@d>"):format(text), headers["auth-smtp-to"])
    end)
  end

  for what, text in pairs {
    ["a NUL"] = "a\0b", ["a CR"] = "a\rAuth-User: root", ["an escape"] = "a\27b",
    ["a DEL"] = "a\127b",
  } do
    it("is not asked about " .. what, function()
      local c = connect "mx"
      c:send_line("EHLO " .. text):expect "^50%d "
      c:send_line("EHLO me.test"):expect_until "^250 "
      c:send_line(("MAIL FROM:<%s@b>"):format(text)):expect "^50%d "
      c:send_line("MAIL FROM:<a@b>"):expect "^250 "
      c:send_line(("RCPT TO:<%s@d>"):format(text)):expect "^50%d "
      assert.equal(0, #auth.requests)
    end)
  end

  it("takes a line feed for the end of a command, of which the rest is another", function()
    local c = connect "mx"
    c:send_line("EHLO me.test\nAuth-User: root"):expect_until "^250 "
    c:expect "^500 "
    c:send_line("MAIL FROM:<a@b>\nX: y"):expect "^250 "
    c:expect "^500 "
    c:send_line("RCPT TO:<c@d>"):expect "^550 "
    assert.equal("me.test", request().headers["auth-smtp-helo"])
  end)
end)
