--- The parameters of `listen`, beside the real nginx.
local client = require "spec.support.client"
local connection = require "spec.support.connection"
local nginx_pair = require "spec.support.nginx_pair"
local ports = require "spec.support.ports"
local tcp = require "spec.support.tcp"

local MAIL = [[
  auth_http 127.0.0.1:@auth/auth;
  server_name mail.example.org;
  server { listen 127.0.0.1:@plain; listen 127.0.0.2:@second; protocol imap; }
  server { listen 127.0.0.1:@bound bind; protocol pop3; }
  server { listen 127.0.0.1:@backlog backlog=77; protocol imap; }
  server { listen 127.0.0.1:@buffers rcvbuf=64k sndbuf=96k; protocol imap; }
  server { listen 127.0.0.1:@alive so_keepalive=30m:10:5; protocol imap; }
  server { listen 127.0.0.1:@on so_keepalive=on; protocol imap; }
  server { listen 127.0.0.1:@off so_keepalive=off; protocol imap; }
  server { listen [::]:@dual ipv6only=off; protocol imap; }
  server { listen [::]:@six; protocol imap; }
  server { listen [::1]:@sixonly ipv6only=on; protocol imap; }
  server { listen localhost:@named; protocol imap; }
  server { listen unix:@folder/mail.sock; protocol smtp; smtp_auth none; }
  server { listen 127.0.0.1:@proxied proxy_protocol; protocol pop3; }
  server { listen *:@wild; protocol imap; imap_capabilities WILD; }
  server { listen 127.0.0.1:@wild; protocol imap; imap_capabilities ONE; }
]]

describe("listen beside the real nginx:", function()
  local pair, ranges
  setup(function()
    ranges = {}
    pair = nginx_pair.start { mail = function()
      local first = ports.free(3)
      table.insert(ranges, first)
      return MAIL .. ("server { listen 127.0.0.1:%d-%d; protocol imap; }\n")
        :format(first, first + 2)
    end }
  end)
  after_each(function() pair:clear() end)
  teardown(function() pair:stop() end)

  --- What `ss` tells of the listening socket.
  local function socket_of(port, pattern)
    local p = assert(io.popen(("ss -H -ltnm sport = :%d"):format(port)))
    local text = p:read "*a"
    p:close()
    return text:match(pattern) or text
  end

  local function same_socket(name, pattern, expected)
    assert.equal(expected, socket_of(pair.real.at[name], pattern))
    assert.equal(expected, socket_of(pair.gw.at[name], pattern))
  end

  local function greets(name, ip)
    for _, at in ipairs { pair.real.at, pair.gw.at } do
      client.connect(at[name], { ip = ip }):expect "^%* OK IMAP4 ready$"
    end
  end

  local function refuses(name, ip)
    for _, at in ipairs { pair.real.at, pair.gw.at } do
      client.connect(at[name], { ip = ip }):expect_end "error"
    end
  end

  it("an address and a port; bind", function()
    greets("plain", "127.0.0.1")
    greets("second", "127.0.0.2")
    pair:both("bound", { { upto = "^%+OK" } })
  end)

  it("backlog, and 511 without", function()
    same_socket("backlog", "^LISTEN%s+%d+%s+(%d+)", "77")
    same_socket("plain", "^LISTEN%s+%d+%s+(%d+)", "511")
  end)

  it("rcvbuf and sndbuf", function()
    same_socket("buffers", "rb(%d+)", tostring(2 * 64 * 1024))
    same_socket("buffers", "tb(%d+)", tostring(2 * 96 * 1024))
  end)

  --- Minutes until the accepted connection of a client is probed; or nil.
  local function keepalive(at, name)
    local c = client.connect(at[name])
    c:expect "^%* OK"
    local p = assert(io.popen(("ss -H -tno state established sport = :%d"):format(at[name])))
    local text = p:read "*a"
    p:close()
    return tonumber(text:match "timer:%(keepalive,(%d+)min,%d+%)")
  end

  it("so_keepalive: idle time, interval and probes; on; off", function()
    for name, expected in pairs { alive = 30, on = 120 } do
      for _, at in ipairs { pair.real.at, pair.gw.at } do
        local found = keepalive(at, name)
        assert.is_true(found == expected or found == expected - 1, name .. ": " .. tostring(found))
      end
    end
    for _, at in ipairs { pair.real.at, pair.gw.at } do assert.is_nil(keepalive(at, "off")) end
  end)

  it("ipv6only: off takes IPv4, too", function()
    greets("dual", "127.0.0.1")
    greets("dual", "::1")
    greets("six", "::1")
    refuses("six", "127.0.0.1")
    greets("sixonly", "::1")
  end)

  it("a name", function() greets("named", "127.0.0.1") end)

  it("a range of ports", function()
    for _, first in ipairs(ranges) do
      for port = first, first + 2 do client.connect(port):expect "^%* OK IMAP4 ready$" end
    end
    assert.equal(2, #ranges)
  end)

  it("a unix socket", function()
    for _, folder in ipairs { pair.real.folder, pair.gw.folder } do
      local c = connection.new(tcp.connect_local(folder .. "/mail.sock"), "local client")
      c:expect "^220 mail.example.org ESMTP ready$"
      c:send_line("MAIL FROM:<a@b>"):expect "^250"
      c:send_line("RCPT TO:<c@d>"):expect "^250"
    end
    local one, other = pair.auth.requests[1], pair.auth.requests[2]
    assert.equal(one.headers["client-ip"], other.headers["client-ip"])
    assert.equal(one.headers["client-host"], other.headers["client-host"])
    -- nginx tells an address that is none
    local said = pair.smtp:peer(1):all():gsub(" ADDR=unix:", "")
    assert.equal(said, pair.smtp:peer(2):all())
  end)

  it("proxy_protocol: nobody is served without a header", function()
    pair:both("proxied", { { send = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 110\r\n",
      upto = "^%+OK" } })
    pair:both("proxied", { { send = "PROXY UNKNOWN\r\n", upto = "^%+OK" } })
    for _, at in ipairs { pair.real.at, pair.gw.at } do
      local c = client.connect(at.proxied)
      c:send "USER u\r\n"
      c:expect_end()
    end
  end)

  it("the server of an address before that of all addresses", function()
    for _, at in ipairs { pair.real.at, pair.gw.at } do
      for ip, expected in pairs { ["127.0.0.1"] = "ONE", ["127.0.0.3"] = "WILD" } do
        local c = client.connect(at.wild, { ip = ip })
        c:send_line("a CAPABILITY"):expect_until("^%* CAPABILITY " .. expected)
      end
    end
  end)
end)
