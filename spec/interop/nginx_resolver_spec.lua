--- `resolver` beside the real nginx: what the auth server and the upstream hear of a client's name.
local dns_server = require "spec.support.dns_server"
local loop = require "spec.support.loop"
local nginx_pair = require "spec.support.nginx_pair"

local MAIL = [[
  auth_http        127.0.0.1:@auth/auth;
  server_name      mail.example.org;
  set_real_ip_from 127.0.0.0/8;
  smtp_auth        none;
  resolver         127.0.0.1:@dns ipv6=on;
  resolver_timeout 1s;
  server { listen 127.0.0.1:@mx proxy_protocol; protocol smtp; }
  server { listen 127.0.0.1:@four proxy_protocol; protocol smtp; resolver 127.0.0.1:@dns ipv6=off; }
  server { listen 127.0.0.1:@off proxy_protocol; protocol smtp; resolver off; }
]]

-- Each worker has answers of its own.
local ONE_WORKER = [[
user root;
worker_processes 1;
error_log stderr info;
pid nginx.pid;
events { worker_connections 256; }
]]

--- One server that asks for names; `resolver` is what follows the word.
local function keeping(resolver)
  return ([[
  auth_http        127.0.0.1:@auth/auth;
  set_real_ip_from 127.0.0.0/8;
  smtp_auth        none;
  resolver         %s;
  resolver_timeout 1s;
  server { listen 127.0.0.1:@mx proxy_protocol; protocol smtp; }
]]):format(resolver)
end

local V6 = "2001:0db8:0000:0000:0000:0000:0000:0007"

--- What both tell the auth server of a client's name, and the upstream.
local function name_of(pair, listener, ip)
  local family = ip:find ":" and "TCP6" or "TCP4"
  local to = ip:find ":" and "2001:db8::1" or "192.0.2.1"
  local request = pair:asks(listener, {
    { send = ("PROXY %s %s %s 1234 25\r\n"):format(family, ip, to), upto = "^220" },
    { send = "EHLO me\r\n", upto = "^250 " }, { send = "MAIL FROM:<a@b>\r\n", upto = "^250" },
    { send = "RCPT TO:<c@d>\r\n", upto = "^250" } })
  local heard, expected = pair.smtp:peer(2):all(), pair.smtp:peer(1):all()
  assert.equal(expected, heard)
  return request.headers["client-host"], heard
end

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

  it("resolver: the client's name", function()
    local name, upstream = name_of(pair, "mx", "192.0.2.7")
    assert.equal("client-7.test", name)
    assert.matches("XCLIENT ADDR=192.0.2.7 NAME=client%-7.test", upstream)
  end)

  it("a name that leads elsewhere, or nowhere, and none", function()
    assert.equal("[UNAVAILABLE]", name_of(pair, "mx", "192.0.2.8"))
    pair:clear()
    assert.equal("[UNAVAILABLE]", name_of(pair, "mx", "192.0.2.9"))
    pair:clear()
    assert.equal("[UNAVAILABLE]", name_of(pair, "mx", "192.0.2.10"))
  end)

  it("resolver_timeout: a server that does not answer", function()
    assert.equal("[TEMPUNAVAIL]", name_of(pair, "mx", "192.0.2.11"))
    pair:clear()
    assert.equal("[TEMPUNAVAIL]", name_of(pair, "mx", "192.0.2.12"))
  end)

  it("of IPv6; ipv6=off: of IPv4 alone", function()
    assert.equal("six.test", name_of(pair, "mx", "2001:db8::7"))
    pair:clear()
    assert.equal("client-7.test", name_of(pair, "four", "192.0.2.7"))
  end)

  it("resolver off: no name", function()
    assert.equal("[UNAVAILABLE]", name_of(pair, "off", "192.0.2.7"))
  end)
end)

describe("what resolver keeps beside the real nginx:", function()
  local pair, names, servers

  --- Both ask name servers of their own, whose answers live for `ttl` seconds.
  local function start(valid, ttl)
    names = {
      ["7.2.0.192.in-addr.arpa"] = { PTR = { "client.test" } },
      ["8.2.0.192.in-addr.arpa"] = { PTR = { "client.test" } },
      ["9.2.0.192.in-addr.arpa"] = { PTR = false },
      ["client.test"] = { A = { "192.0.2.7", "192.0.2.8", "192.0.2.9" } },
    }
    servers = {}
    pair = nginx_pair.start { main = ONE_WORKER, mail = function()
      local dns = dns_server.start(names)
      dns.ttl = ttl
      table.insert(servers, dns)
      return keeping(dns.address .. valid)
    end }
  end
  after_each(function()
    pair:clear()
    pair:stop()
    for _, dns in ipairs(servers) do dns:stop() end
  end)

  local function expect_name(expected, ip)
    assert.equal(expected, (name_of(pair, "mx", ip)))
    pair:clear()
  end

  local function expect_asked(count, name, kind)
    assert.same({ count, count },
      { servers[1]:asked(name, kind), servers[2]:asked(name, kind) }, name)
  end

  --- Logs in until both have asked a second time.
  local function expect_asked_again(ip, name, kind)
    local latest = loop.now() + 20
    local function least()
      return math.min(servers[1]:asked(name, kind), servers[2]:asked(name, kind))
    end
    repeat
      expect_name("client.test", ip)
      loop.pass(0.1)
    until least() > 1 or loop.now() > latest
    assert.is_true(least() > 1, "one of them did not ask again")
  end

  it("valid=: that long, however short the answer lives", function()
    start(" valid=10m", 0)
    for _ = 1, 3 do expect_name("client.test", "192.0.2.7") end
    expect_name("client.test", "192.0.2.8")
    expect_asked(1, "7.2.0.192.in-addr.arpa", "PTR")
    expect_asked(1, "8.2.0.192.in-addr.arpa", "PTR")
    expect_asked(1, "client.test", "A")
  end)

  it("valid=: no longer, however long the answer lives", function()
    start(" valid=1s", 3600)
    expect_asked_again("192.0.2.7", "7.2.0.192.in-addr.arpa", "PTR")
    expect_asked_again("192.0.2.7", "client.test", "A")
  end)

  it("without valid= as long as the answer lives", function()
    start("", 3600)
    for _ = 1, 3 do expect_name("client.test", "192.0.2.7") end
    expect_asked(1, "7.2.0.192.in-addr.arpa", "PTR")
    expect_asked(1, "client.test", "A")
    for _, dns in ipairs(servers) do dns.ttl = 1 end
    expect_asked_again("192.0.2.8", "8.2.0.192.in-addr.arpa", "PTR")
    expect_asked(1, "client.test", "A")
  end)

  it("neither that there is no name, nor that nobody answered", function()
    start(" valid=10m", 3600)
    for _ = 1, 2 do expect_name("[UNAVAILABLE]", "192.0.2.10") end
    expect_asked(2, "10.2.0.192.in-addr.arpa", "PTR")
    expect_name("[TEMPUNAVAIL]", "192.0.2.9")
    names["9.2.0.192.in-addr.arpa"].PTR = { "client.test" }
    expect_name("client.test", "192.0.2.9")
  end)
end)
