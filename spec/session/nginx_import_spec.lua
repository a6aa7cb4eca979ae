--- What `moongate import` makes of each directive of nginx's mail proxy, on the wire.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local loop = require "spec.support.loop"
local mime = require "mime"
local nginx = require "spec.support.nginx"
local nginx_servers = require "spec.support.nginx_servers"
local upstream = require "spec.support.upstream"

local MAIL = [[
  auth_http            http://localhost:@auth/check;
  auth_http_header     X-First "one two";
  auth_http_header     X-Auth-Key s3cret;
  server_name          mail.example.org;
  proxy                on;
  proxy_timeout        1h;

  server {
    listen             127.0.0.1:@imap;
    protocol           imap;
    imap_auth          plain cram-md5;
    imap_capabilities  IMAP4rev1 "X-ONE" IDLE;
    imap_client_buffer 512;
    max_errors         2;
    proxy_pass_error_message on;
    proxy_buffer       1k;
  }
  server { listen 127.0.0.1:@plain; listen localhost:@named; protocol imap; server_name other; }
  server { listen 127.0.0.1:@pop3; protocol pop3; pop3_auth plain apop; pop3_capabilities TOP X-A; }
  server { listen 127.0.0.1:@popplain; protocol pop3; }
  server {
    listen             127.0.0.1:@smtp;
    protocol           smtp;
    smtp_auth          login;
    smtp_capabilities  "SIZE 1000" 8BITMIME;
    smtp_client_buffer 512;
    proxy_smtp_auth    on;
    xclient            off;
  }
  server { listen 127.0.0.1:@smtpplain; protocol smtp; auth_http_header X-Other 1; }
  server {
    listen             127.0.0.1:@mx;
    protocol           smtp;
    smtp_auth          none;
    resolver           127.0.0.1:@dns;
    resolver_timeout   2s;
    smtp_greeting_delay 200ms;
  }
  server { listen 127.0.0.1:@undelayed; protocol smtp; resolver off; smtp_auth none plain; }
  server { listen 127.0.0.1:@multi multipath; protocol imap; }
  server { listen 127.0.0.1:@short; protocol imap; timeout 300ms; }
  server { listen 127.0.0.1:@idle; protocol imap; proxy_timeout 300ms; }
  server { listen 127.0.0.1:@slowauth; protocol imap; auth_http_timeout 300ms; }
  server {
    listen             127.0.0.1:@proxied proxy_protocol backlog=64 rcvbuf=64k sndbuf=64k
                       so_keepalive=30m:10:5;
    protocol           imap;
    set_real_ip_from   127.0.0.0/8;
    proxy_protocol     on;
  }
  server { listen 127.0.0.1:@unbelieved proxy_protocol; protocol pop3; proxy_protocol v2; }
  server { listen unix:/tmp/moongate-import-@auth.sock; protocol imap; }
]]

describe("moongate import", function()
  local gw, servers, dns

  setup(function()
    dns = dns_server.start { ["1.0.0.127.in-addr.arpa"] = { PTR = { "client.test" } },
      ["client.test"] = { A = { "127.0.0.1" } } }
    servers = nginx_servers.start()
    gw = nginx.import { mail = MAIL, ports = { auth = servers.auth.port,
      dns = tonumber(dns.address:match ":(%d+)$") } }
  end)
  after_each(function() servers:clear() end)
  teardown(function()
    nginx.discard(gw)
    servers:stop()
    dns:stop()
  end)

  local function connect(name) return client.connect(gw.at[name]) end

  local function lines_until(c, pattern)
    local last, before = c:expect_until(pattern)
    table.insert(before, last)
    return table.concat(before, "\n")
  end

  describe("of imap:", function()
    it("the capabilities, and the mechanisms that imap_auth offers", function()
      local c = connect "imap"
      c:expect "^%* OK IMAP4 ready$"
      c:send_line "a CAPABILITY"
      c:expect "^%* CAPABILITY IMAP4rev1 X%-ONE IDLE AUTH=PLAIN AUTH=CRAM%-MD5$"
      c:expect "^a OK completed$"
    end)

    it("nginx's own list where there is none", function()
      local c = connect "plain"
      c:expect "^%* OK"
      c:send_line("a CAPABILITY"):expect "^%* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN$"
    end)

    it("server_name of the server in place of that of mail{}", function()
      local c = connect "imap"
      c:expect "^%* OK"
      c:send_line "a AUTHENTICATE CRAM-MD5"
      assert.matches("@mail%.example%.org>$", mime.unb64(c:expect "^%+ (%S+)$"))
    end)

    it("max_errors: the second ends the session", function()
      local c = connect "imap"
      c:expect "^%* OK"
      c:send_line("a X"):expect "^a BAD invalid command$"
      c:send_line("a X"):expect "^a BAD invalid command$"
      assert.equal("too_many_errors", gw:session_of(c)["end"])
    end)

    it("imap_client_buffer: the longest command", function()
      local c = connect "imap"
      c:expect "^%* OK"
      c:send_line("a NOOP " .. ("x"):rep(400)):expect "^a OK"
      c:send_line("a NOOP " .. ("x"):rep(600)):expect_until "BAD"
    end)

    it("proxy_pass_error_message on, and off", function()
      servers.imap.script = upstream.imap { login = function(peer, tag)
        peer:send_line(tag .. " NO [ALERT] go away")
        return false
      end }
      local c = connect "imap"
      c:send_line("a LOGIN u p"):expect_until "^a NO %[ALERT%] go away$"
      c = connect "plain"
      c:send_line("a LOGIN u p"):expect_until "^%* BAD internal server error$"
      assert.not_matches("go away", c:all())
    end)

    it("proxy_buffer: the longest reply of an upstream", function()
      servers.imap.script = upstream.imap { login = function(peer, tag)
        peer:send_line(tag .. " OK " .. ("x"):rep(1500))
        return true
      end }
      local c = connect "imap"
      c:send_line("a LOGIN u p"):expect_until "^%* BAD internal server error$"
      c = connect "plain"
      c:send_line("a LOGIN u p"):expect_until "^a OK x+$"
    end)

    it("the reply of the upstream as it is", function()
      servers.imap.script = upstream.imap()
      local c = connect "plain"
      c:send_line "a LOGIN u p"
      c:expect_until "^a OK %[CAPABILITY IMAP4rev1 SASL%-IR .*%] logged in$"
      assert.not_matches("ID", servers.imap:peer(1):all())
    end)

    it("a listen by name, and one on a unix socket", function()
      connect("named"):expect "^%* OK IMAP4 ready$"
      assert.matches("imap%d*=unix:/tmp/moongate%-import", gw:log())
    end)
  end)

  it("multipath: plain TCP", function()
    connect("multi"):expect "^%* OK IMAP4 ready$"
    assert.matches("multipath: kept with a difference: listen \"imap3\"; multipath: plain TCP",
      gw.output)
  end)

  describe("of auth_http:", function()
    it("its uri, headers in their order, and one connection a question", function()
      local c = connect "plain"
      c:send_line("a LOGIN u p"):expect_until "^a OK"
      local head = servers.auth.requests[1].head
      assert.matches("^GET /check HTTP/1.0\r\nHost: localhost\r\nAuth", head)
      assert.matches("\r\nX%-First: one two\r\nX%-Auth%-Key: s3cret\r\n\r\n$", head)
      assert.matches("\r\nAuth%-Method: plain\r\nAuth%-User: u\r\nAuth%-Pass: p\r\n"
        .. "Auth%-Protocol: imap\r\nAuth%-Login%-Attempt: 1\r\nClient%-IP: 127.0.0.1\r\n", head)
    end)

    it("headers of a server in place of those of mail{}", function()
      local c = connect "smtpplain"
      c:send_line("AUTH PLAIN " .. client.plain("u", "p")):expect_until "^235"
      assert.matches("\r\nX%-Other: 1\r\n\r\n$", servers.auth.requests[1].head)
      assert.is_nil(servers.auth.requests[1].headers["x-first"])
    end)

    it("a secret of it in a file that only its owner may read", function()
      assert.not_matches("s3cret", nginx.written { folder = gw.above })
      local listing = io.popen("stat -c %a " .. gw.above .. "/out/secrets/x-auth-key")
      assert.equal("600\n", listing:read "*a")
      listing:close()
    end)

    it("auth_http_timeout", function()
      servers.answer = function() loop.wait("nothing", function() end, false) end
      local c = connect "slowauth"
      c:send_line("a LOGIN u p"):expect_until "^%* BAD internal server error$"
      gw:expect_log "auth_http .*: timed out"
    end)

    it("a refusal ends the session, with Auth-Wait it does not", function()
      servers.answer = function() return { ["Auth-Status"] = "no, no" } end
      local c = connect "plain"
      c:send_line("a LOGIN u p"):expect_until "^a NO .*no, no$"
      c:expect_end "eof"
      servers.answer = function()
        return { ["Auth-Status"] = "no, no", ["Auth-Wait"] = "1" }
      end
      c = connect "plain"
      c:send_line("a LOGIN u p"):expect_until "^a NO .*no, no$"
      c:send_line("b NOOP"):expect "^b OK"
    end)
  end)

  describe("of times:", function()
    it("timeout: the session ends however busy it is", function()
      local c = connect "short"
      c:send_line("a NOOP"):expect_until "^a OK"
      c:expect_end()
      assert.equal("timeout", gw:session_of(c)["end"])
    end)

    it("proxy_timeout: a session without a byte", function()
      local c = connect "idle"
      c:send_line("a LOGIN u p"):expect_until "^a OK"
      c:expect_end()
      assert.equal("idle", gw:session_of(c)["end"])
    end)
  end)

  describe("of pop3:", function()
    it("capabilities, mechanisms, and the salt of APOP", function()
      local c = connect "pop3"
      c:expect "^%+OK POP3 ready <.*@mail%.example%.org>$"
      c:send_line "CAPA"
      assert.equal("+OK Capability list follows\nTOP\nX-A\nSASL PLAIN LOGIN\n.",
        lines_until(c, "^%.$"))
      c:send_line(("APOP u %s"):format(("0"):rep(32)))
      c:expect "^%-ERR"
    end)

    it("nginx's own list where there is none", function()
      local c = connect "popplain"
      c:expect "^%+OK POP3 ready$"
      c:send_line "CAPA"
      assert.equal("+OK Capability list follows\nTOP\nUSER\nUIDL\nSASL PLAIN LOGIN\n.",
        lines_until(c, "^%.$"))
    end)
  end)

  describe("of smtp:", function()
    it("server_name, capabilities and mechanisms", function()
      local c = connect "smtp"
      c:expect "^220 mail%.example%.org ESMTP ready$"
      c:send_line "EHLO me"
      assert.equal("250-mail.example.org\n250-SIZE 1000\n250-8BITMIME\n250 AUTH LOGIN",
        lines_until(c, "^250 .*$"))
    end)

    it("no capabilities where there are none", function()
      local c = connect "smtpplain"
      c:expect "^220"
      c:send_line "EHLO me"
      assert.equal("250-mail.example.org\n250 AUTH PLAIN LOGIN", lines_until(c, "^250 .*$"))
    end)

    it("smtp_client_buffer: the longest command", function()
      local c = connect "smtp"
      c:send_line("NOOP " .. ("x"):rep(400)):expect_until "^250"
      c:send_line("NOOP " .. ("x"):rep(600)):expect_until "^500"
    end)

    it("proxy_smtp_auth on and xclient off: a login upstream", function()
      local c = connect "smtp"
      c:send_line "AUTH LOGIN"
      c:expect_until "^334"
      c:send_line((mime.b64 "u")):expect "^334"
      c:send_line((mime.b64 "p")):expect "^235 2.0.0 OK$"
      assert.equal("u", servers.smtp:peer(1).user)
      assert.not_matches("XCLIENT", servers.smtp:peer(1):all())
    end)

    it("by default XCLIENT, that nobody has offered, and no login", function()
      local c = connect "smtpplain"
      c:send_line("AUTH PLAIN " .. client.plain("u", "p")):expect_until "^235 2.0.0 OK$"
      assert.matches("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=%[UNAVAILABLE%]\r\n",
        servers.smtp:peer(1):all())
      assert.not_matches("AUTH", servers.smtp:peer(1):all())
    end)

    it("smtp_auth none: recipients without a login, and no AUTH", function()
      local c = connect "mx"
      c:expect "^220"
      c:send_line "EHLO me"
      assert.equal("250 mail.example.org", lines_until(c, "^250 .*$"))
      c:send_line("MAIL FROM:<a@b>"):expect "^250 2.0.0 OK$"
      c:send_line("RCPT TO:<c@d>"):expect "^250"
      assert.equal("none", servers.auth.requests[1].headers["auth-method"])
      assert.equal("RCPT TO:<c@d>", servers.auth.requests[1].headers["auth-smtp-to"])
    end)

    it("smtp_auth none plain: both", function()
      local c = connect "undelayed"
      c:expect "^220"
      c:send_line("EHLO me"):expect "^250%-mail"
      c:expect "^250 AUTH PLAIN$"
      c:send_line("MAIL FROM:<a@b>"):expect "^250 2.0.0 OK$"
    end)

    it("resolver: the client's name; resolver off: none", function()
      local c = connect "mx"
      c:expect "^220"
      c:send_line("MAIL FROM:<a@b>"):expect "^250"
      c:send_line("RCPT TO:<c@d>"):expect "^250"
      assert.equal("client.test", servers.auth.requests[1].headers["client-host"])
      c = connect "undelayed"
      c:expect "^220"
      c:send_line("MAIL FROM:<a@b>"):expect "^250"
      c:send_line("RCPT TO:<c@d>"):expect "^250"
      assert.equal("[UNAVAILABLE]", servers.auth.requests[2].headers["client-host"])
    end)

    it("resolver_timeout: a server that does not answer is not waited for longer", function()
      dns.names["1.0.0.127.in-addr.arpa"].PTR = false
      local c = connect "mx"
      c:expect("^220", 20)
      c:send_line("MAIL FROM:<a@b>"):expect "^250"
      c:send_line("RCPT TO:<c@d>"):expect "^250"
      assert.equal("[TEMPUNAVAIL]", servers.auth.requests[1].headers["client-host"])
      dns.names["1.0.0.127.in-addr.arpa"].PTR = { "client.test" }
    end)

    it("smtp_greeting_delay: who speaks before it is refused", function()
      local c = connect "mx"
      c:send_line "EHLO me"
      c:expect "^503 5.5.0 Improper use of SMTP command pipelining$"
    end)
  end)

  describe("of PROXY headers:", function()
    it("one is believed from where set_real_ip_from says, and one is sent", function()
      local c = connect "proxied"
      servers.imap.script = function(peer)
        peer.header = peer:read_line()
        upstream.imap()(peer)
      end
      c:send "PROXY TCP4 192.0.2.7 192.0.2.1 1234 143\r\na LOGIN u p\r\n"
      c:expect_until "^a OK"
      assert.equal("192.0.2.7", servers.auth.requests[1].headers["client-ip"])
      assert.matches("^PROXY TCP4 192.0.2.7 %S+ 1234 %d+$", servers.imap:peer(1).header)
    end)

    it("without set_real_ip_from it is read, and nobody is believed; v2 is sent", function()
      servers.pop3.script = function(peer)
        peer.header = peer:read(16)
        peer:read(peer.header:byte(15) * 256 + peer.header:byte(16))
        upstream.pop3()(peer)
      end
      local c = connect "unbelieved"
      c:send "PROXY TCP4 192.0.2.7 192.0.2.1 1234 143\r\nUSER u\r\nPASS p\r\n"
      c:expect_until "^%+OK logged in$"
      assert.equal("127.0.0.1", servers.auth.requests[1].headers["client-ip"])
      assert.equal("\r\n\r\n\0\r\nQUIT\n", servers.pop3:peer(1).header:sub(1, 12))
    end)

    it("backlog, rcvbuf, sndbuf and so_keepalive are the socket's", function()
      local text = nginx.written { folder = gw.above }
      for _, words in ipairs { "backlog = 64,", "receive_buffer = \"64k\",",
        "send_buffer = \"64k\",", "keepalive_idle = 1800,", "keepalive_interval = 10,",
        "keepalive_count = 5," } do
        assert.truthy(text:find(words, 1, true), words)
      end
      local p = assert(io.popen(("ss -ltn sport = :%d"):format(gw.at.proxied)))
      assert.matches("LISTEN%s+0%s+64%s", p:read "*a")
      p:close()
    end)
  end)
end)
