--- What only SMTP has: a delay before the greeting, the client's name, mail without a login.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  connect = function(session)
    session:log("info", "client host " .. tostring(session.client.host))
  end,
  auth = function() return moongate.accept { upstream = "%s" } end,
  rcpt = function(session, recipient)
    if recipient.domain ~= "here.test" then
      return moongate.reject { reason = "not-allowed", text = "no relaying" }
    end
    return moongate.accept { upstream = "%s" }
  end,
}
]]

describe("an SMTP client", function()
  local gw, up, dns
  local names = {
    ["1.0.0.127.in-addr.arpa"] = { PTR = { "client.test" } },
    ["client.test"] = { A = { "127.0.0.1" } },
    ["cli_ent.test"] = { A = { "127.0.0.1" } },
  }

  setup(function()
    up = upstream.start { script = upstream.smtp() }
    dns = dns_server.start(names)
    gw = site.start {
      listen = {
        delayed = { protocol = "smtp", more = "greeting_delay = 0.3," },
        named = { protocol = "smtp", more = "resolve_client = true," },
        relay = { protocol = "smtp", more = 'auth = "none",' },
      },
      more = ("resolver = { %q },"):format(dns.address),
      policy = POLICY:format(up.address, up.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    up:stop()
    dns:stop()
    gw:stop()
  end)

  it("that waits for a delayed greeting is served", function()
    local began = loop.now()
    local c = client.connect(gw.ports.delayed)
    c:expect "^220 "
    assert.is_true(loop.now() - began >= 0.29)
    c:send_line("EHLO client.test"):expect_until "^250 "
  end)

  it("that speaks before the greeting is refused", function()
    local c = client.connect(gw.ports.delayed)
    c:send_line "EHLO client.test"
    c:expect "^503 5%.5%.0"
    loop.wait("the end", function() return c.ended end)
    c:close()
    assert.equal("early_talker", gw:session_of(c)["end"])
  end)

  it("that closes before the greeting is a clean end", function()
    local c = client.connect(gw.ports.delayed)
    c:half_close()
    c:expect_end "eof"
    c:close()
    assert.equal("client_closed", gw:session_of(c)["end"])
  end)

  --- What a policy sees as the name of a new client.
  local function host()
    local c = client.connect(gw.ports.named)
    c:expect("^220 ", 5)
    c:send_line("QUIT"):expect "^221 "
    c:close()
    local id = gw:session_of(c).session
    return gw:expect_log(("%s[^\n]*client host ([^%%s]+)"):format(id))
  end

  it("has the name that its address and its name agree on", function()
    assert.equal("client.test", host())
  end)

  it("has no name if that leads elsewhere, holds other characters, or does not exist", function()
    names["client.test"].A = { "127.0.0.9" }
    assert.equal("[UNAVAILABLE]", host())
    names["1.0.0.127.in-addr.arpa"].PTR = { "cli_ent.test" }
    assert.equal("[TEMPUNAVAIL]", host())
    names["1.0.0.127.in-addr.arpa"] = nil
    assert.equal("[UNAVAILABLE]", host())
  end)

  it("may send mail without a login where the listener asks for none", function()
    local c = client.connect(gw.ports.relay)
    c:expect "^220 "
    c:send_line("EHLO client.test"):expect_until "^250 "
    c:send_line("MAIL FROM:<a@b.test>"):expect "^250 "
    c:send_line("RCPT TO:<x@elsewhere.test>"):expect "^5%d%d .*no relaying"
    c:send_line("RCPT TO:<erin@here.test>"):expect "^250 "
    c:send_line("DATA"):expect "^354 "
    c:send("Subject: hello\r\n\r\nbody\r\n.\r\n"):expect "^250 "
    c:send_line("QUIT"):expect "^221 "
    c:expect_end "eof"
    c:close()
    local peer = up:peer(1)
    assert.same({ "Subject: hello", "", "body" }, peer.message)
    assert.is_truthy(peer:all():find("MAIL FROM:<a@b.test>", 1, true))
    assert.is_nil(peer:all():find("elsewhere", 1, true))
    assert.equal("upstream_closed", gw:session_of(c)["end"])
  end)
end)
