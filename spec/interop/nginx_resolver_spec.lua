--- `resolver` beside the real nginx: what the auth server and the upstream hear of a client's name.
local dns_server = require "spec.support.dns_server"
local nginx_pair = require "spec.support.nginx_pair"

local MAIL = [[
  auth_http        127.0.0.1:@auth/auth;
  server_name      mail.example.org;
  set_real_ip_from 127.0.0.0/8;
  smtp_auth        none;
  resolver         127.0.0.1:@dns valid=30s ipv6=on;
  resolver_timeout 1s;
  server { listen 127.0.0.1:@mx proxy_protocol; protocol smtp; }
  server { listen 127.0.0.1:@four proxy_protocol; protocol smtp; resolver 127.0.0.1:@dns ipv6=off; }
  server { listen 127.0.0.1:@off proxy_protocol; protocol smtp; resolver off; }
]]

local V6 = "2001:0db8:0000:0000:0000:0000:0000:0007"

describe("resolver beside the real nginx:", function()
  local pair, dns
  setup(function()
    local names = {
      ["7.2.0.192.in-addr.arpa"] = { PTR = { "Client-7.test" } },
      ["client-7.test"] = { A = { "192.0.2.99", "192.0.2.7" } },
      ["8.2.0.192.in-addr.arpa"] = { PTR = { "other.test" } },
      ["other.test"] = { A = { "192.0.2.99" } },
      ["10.2.0.192.in-addr.arpa"] = { PTR = { "nowhere.test" } },
      ["11.2.0.192.in-addr.arpa"] = { PTR = false },
      ["12.2.0.192.in-addr.arpa"] = { PTR = { "mute.test" } },
      ["mute.test"] = { A = false, AAAA = false },
      [V6:gsub(":", ""):reverse():gsub(".", "%0.") .. "ip6.arpa"] = { PTR = { "six.test" } },
      ["six.test"] = { AAAA = { V6 } },
    }
    dns = dns_server.start(names)
    pair = nginx_pair.start { mail = MAIL, ports = { dns = tonumber(dns.address:match ":(%d+)$") } }
  end)
  after_each(function() pair:clear() end)
  teardown(function()
    pair:stop()
    dns:stop()
  end)

  --- What both tell the auth server of a client's name, and the upstream.
  local function name_of(listener, ip)
    local family = ip:find ":" and "TCP6" or "TCP4"
    local to = ip:find ":" and "2001:db8::1" or "192.0.2.1"
    local request = pair:asks(listener, {
      { send = ("PROXY %s %s %s 1234 25\r\n"):format(family, ip, to), upto = "^220" },
      { send = "EHLO me\r\n", upto = "^250 " }, { send = "MAIL FROM:<a@b>\r\n", upto = "^250" },
      { send = "RCPT TO:<c@d>\r\n", upto = "^250" } })
    assert.equal(pair.smtp:peer(1):all(), pair.smtp:peer(2):all())
    return request.headers["client-host"]
  end

  it("resolver: the client's name", function()
    assert.equal("client-7.test", name_of("mx", "192.0.2.7"))
    assert.matches("XCLIENT ADDR=192.0.2.7 NAME=client%-7.test", pair.smtp:peer(1):all())
  end)

  it("a name that leads elsewhere, or nowhere, and none", function()
    assert.equal("[UNAVAILABLE]", name_of("mx", "192.0.2.8"))
    pair:clear()
    assert.equal("[UNAVAILABLE]", name_of("mx", "192.0.2.9"))
    pair:clear()
    assert.equal("[UNAVAILABLE]", name_of("mx", "192.0.2.10"))
  end)

  it("resolver_timeout: a server that does not answer", function()
    assert.equal("[TEMPUNAVAIL]", name_of("mx", "192.0.2.11"))
    pair:clear()
    assert.equal("[TEMPUNAVAIL]", name_of("mx", "192.0.2.12"))
  end)

  it("of IPv6; ipv6=off: of IPv4 alone", function()
    assert.equal("six.test", name_of("mx", "2001:db8::7"))
    pair:clear()
    assert.equal("client-7.test", name_of("four", "192.0.2.7"))
  end)

  it("resolver off: no name", function()
    assert.equal("[UNAVAILABLE]", name_of("off", "192.0.2.7"))
  end)
end)
