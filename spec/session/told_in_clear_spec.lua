--- What a peer in front of the gateway told in clear is nobody's word once TLS has begun.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local site = require "spec.support.site"
local tls = require "spec.support.tls"

local POLICY = [[
return {
  auth = function(session)
    return moongate.reject { text = session.client.ip .. " is " .. session.client.host }
  end,
}
]]

describe("a client's name that was told in clear", function()
  local authority, gw

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { subject = "/CN=mail.spec.test" }
    gw = site.start { policy = POLICY, listen = { smtp = { protocol = "smtp",
      more = ([[trusted = "127.0.0.1", tls = { mode = "starttls", certificate = %q, key = %q }]])
        :format(leaf.certificate, leaf.key) } } }
  end)
  teardown(function()
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)
  after_each(client.discard_all)

  local function introduced()
    local c = client.connect(gw.ports.smtp)
    c:expect "^220 "
    c:send_line("XCLIENT ADDR=192.0.2.7 NAME=told.example"):expect "^220 "
    return c
  end

  local function who(c)
    c:send_line("EHLO c.test"):expect_until "^250 "
    c:send_line("AUTH PLAIN " .. client.plain("ann", "secret"))
    return c:expect "^535 [%d.]* ?(.*)"
  end

  it("is believed", function() assert.equal("192.0.2.7 is told.example", who(introduced())) end)

  it("is forgotten when TLS begins", function()
    local c = introduced()
    c:send_line("STARTTLS"):expect "^220 "
    tls.start(c, tls.client {}):handshake()
    assert.equal("127.0.0.1 is [UNAVAILABLE]", who(c))
  end)
end)
