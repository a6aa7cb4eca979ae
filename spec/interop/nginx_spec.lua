--- The real nginx and the gateway that serves its nginx.conf: the same bytes in, the
-- same bytes out; and auth server and upstreams hear the same.
local client = require "spec.support.client"
local nginx_pair = require "spec.support.nginx_pair"
local upstream = require "spec.support.upstream"

local MAIL = [[
  auth_http    127.0.0.1:@auth/auth?a=b;
  auth_http_header X-Key "a b";
  server_name  mail.example.org;
  server { listen 127.0.0.1:@imap; protocol imap; imap_auth plain login; proxy_timeout 1h; }
  server {
    listen 127.0.0.1:@imapmore; protocol imap; imap_auth plain login cram-md5;
    imap_capabilities IMAP4rev1 IDLE "X-A"; proxy_pass_error_message on; max_errors 3;
  }
  server { listen 127.0.0.1:@pop3; protocol pop3; }
  server { listen 127.0.0.1:@pop3more; protocol pop3; pop3_auth plain cram-md5;
           pop3_capabilities TOP UIDL; }
  server { listen 127.0.0.1:@smtp; protocol smtp; }
  server { listen 127.0.0.1:@smtpmore; protocol smtp; smtp_auth plain login cram-md5;
           smtp_capabilities "SIZE 1000" 8BITMIME; xclient off; max_errors 2; }
  server { listen 127.0.0.1:@mx; protocol smtp; smtp_auth none; }
  server { listen 127.0.0.1:@short; protocol imap; timeout 300ms; }
  server { listen 127.0.0.1:@shortpop3; protocol pop3; timeout 300ms; }
  server { listen 127.0.0.1:@shortsmtp; protocol smtp; timeout 300ms; }
  server { listen 127.0.0.1:@apop; protocol pop3; pop3_auth plain apop; }
  server { listen 127.0.0.1:@narrow; protocol imap; imap_client_buffer 512; }
  server { listen 127.0.0.1:@narrowsmtp; protocol smtp; smtp_client_buffer 512; }
  server { listen 127.0.0.1:@late; protocol smtp; smtp_greeting_delay 300ms; }
]]

describe("beside the real nginx", function()
  local pair
  setup(function() pair = nginx_pair.start { mail = MAIL } end)
  after_each(function() pair:clear() end)
  teardown(function() pair:stop() end)

  local function both(name, steps) return pair:both(name, steps) end
  local function asks(name, steps) return pair:asks(name, steps) end

  for name, lines in pairs {
    ["greeting of imap"] = { "imap", { upto = "^%* OK" } },
    ["capabilities of imap"] = { "imap", { upto = "^%* OK" },
      { send = "a CAPABILITY\r\n", upto = "^a " } },
    ["configured capabilities of imap"] = { "imapmore", { upto = "^%* OK" },
      { send = "a CAPABILITY\r\n", upto = "^a " } },
    ["commands of imap"] = { "imap", { upto = "^%* OK" }, { send = "a NOOP\r\n", upto = "^a " },
      { send = "b.c noop x y\r\n", upto = "^b.c " }, { send = "c LOGOUT\r\n", ends = "^c " } },
    ["invalid commands of imap"] = { "imap", { upto = "^%* OK" },
      { send = "a X\r\n", upto = "BAD" },
      { send = "! NOOP\r\n", upto = "BAD" }, { send = "a\r\n", upto = "BAD" },
      { send = "a LOGIN u\r\n", upto = "BAD" } },
    ["pipelined commands of imap"] = { "imap", { upto = "^%* OK" },
      { send = "a NOOP\r\nb NOOP\r\nc CAPABILITY\r\n", upto = "^c OK" } },
    ["imap LOGIN"] = { "imap", { send = "a LOGIN u p\r\n", upto = "^a OK" },
      { send = "b NOOP\r\n", upto = "^b OK" } },
    ["imap LOGIN quoted"] = { "imap", { send = "a LOGIN \"u\\\"\" \"p w\"\r\n", upto = "^a OK" } },
    ["imap LOGIN by literals"] = { "imap", { send = "a LOGIN {1}\r\n", upto = "^%+" },
      { send = "u {1}\r\n", upto = "^%+" }, { send = "p\r\n", upto = "^a OK" } },
    ["imap LOGIN by literals that do not wait"] = { "imap",
      { send = "a LOGIN {1+}\r\nu {1+}\r\np\r\n", upto = "^a OK" } },
    ["imap AUTHENTICATE PLAIN"] = { "imap", { upto = "^%* OK" },
      { send = "a AUTHENTICATE PLAIN\r\n", upto = "^%+" },
      { send = client.plain("u", "p") .. "\r\n", upto = "^a OK" } },
    ["imap AUTHENTICATE PLAIN at once"] = { "imap",
      { send = "a AUTHENTICATE PLAIN " .. client.plain("u", "p") .. "\r\n", upto = "^a OK" } },
    ["imap AUTHENTICATE LOGIN"] = { "imap", { upto = "^%* OK" },
      { send = "a AUTHENTICATE LOGIN\r\n", upto = "^%+" }, { send = "dQ==\r\n", upto = "^%+" },
      { send = "cA==\r\n", upto = "^a OK" } },
    ["imap: bad base64, a cancel, a mechanism that there is not"] = { "imap", { upto = "^%* OK" },
      { send = "a AUTHENTICATE PLAIN\r\n", upto = "^%+" }, { send = "!!\r\n", upto = "BAD" },
      { send = "b AUTHENTICATE PLAIN\r\n", upto = "^%+" }, { send = "*\r\n", upto = "BAD" },
      { send = "c AUTHENTICATE FOO\r\n", upto = "BAD" } },
    ["greeting of pop3"] = { "pop3", { upto = "^%+OK" } },
    ["CAPA of pop3"] = { "pop3", { upto = "^%+OK" }, { send = "CAPA\r\n", upto = "^%.$" } },
    ["configured CAPA of pop3"] = { "pop3more", { send = "CAPA\r\n", upto = "^%.$" } },
    ["AUTH of pop3"] = { "pop3", { send = "AUTH\r\n", upto = "^%.$" } },
    ["commands of pop3"] = { "pop3", { upto = "^%+OK" }, { send = "NOOP\r\n", upto = "^%+OK" },
      { send = "X\r\n", upto = "^%-ERR" }, { send = "PASS p\r\n", upto = "^%-ERR" },
      { send = "QUIT\r\n", ends = "^%+OK" } },
    ["pop3 USER and PASS"] = { "pop3", { upto = "^%+OK" },
      { send = "USER a b\r\n", upto = "^%+OK" },
      { send = "PASS p w\r\n", upto = "^%+OK" }, { send = "NOOP\r\n", upto = "^%+OK" } },
    ["pop3 AUTH PLAIN"] = { "pop3", { upto = "^%+OK" }, { send = "AUTH PLAIN\r\n", upto = "^%+" },
      { send = client.plain("u", "p") .. "\r\n", upto = "^%+OK" } },
    ["pop3 AUTH LOGIN"] = { "pop3", { upto = "^%+OK" }, { send = "AUTH LOGIN\r\n", upto = "^%+" },
      { send = "dQ==\r\n", upto = "^%+" }, { send = "cA==\r\n", upto = "^%+OK" } },
    ["greeting of smtp"] = { "smtp", { upto = "^220" } },
    ["EHLO and HELO of smtp"] = { "smtp", { upto = "^220" },
      { send = "EHLO x\r\n", upto = "^250 " },
      { send = "HELO x\r\n", upto = "^250 " }, { send = "EHLO\r\n", upto = "^501" } },
    ["configured EHLO of smtp"] = { "smtpmore", { upto = "^220" },
      { send = "EHLO x\r\n", upto = "^250 " } },
    ["commands of smtp"] = { "smtp", { upto = "^220" }, { send = "NOOP\r\n", upto = "^250" },
      { send = "RSET\r\n", upto = "^250" }, { send = "MAIL FROM:<a@b>\r\n", upto = "^530" },
      { send = "VRFY x\r\n", upto = "^5" }, { send = "X\r\n", upto = "^500" },
      { send = "AUTH\r\n", upto = "^501" }, { send = "QUIT\r\n", ends = "^221" } },
    ["max_errors of smtp"] = { "smtpmore", { upto = "^220" }, { send = "X\r\n", upto = "^500" },
      { send = "X\r\n", ends = "^500" } },
    ["max_errors of imap"] = { "imapmore", { upto = "^%* OK" },
      { send = "a X\r\nb X\r\nc X\r\nd X\r\n", ends = "^c BAD" } },
    ["timeout of imap"] = { "short", { ends = "^%* OK" } },
    ["timeout of pop3, however busy"] = { "shortpop3", { send = "NOOP\r\n", ends = "^%+OK$" } },
    ["timeout of smtp"] = { "shortsmtp", { ends = "^220" } },
    ["greeting of apop"] = { "apop", { upto = "^%+OK" } },
    ["smtp that speaks too early"] = { "late", { send = "EHLO x\r\n", ends = "^503" } },
    ["smtp that waits"] = { "late", { upto = "^220" }, { send = "EHLO x\r\n", upto = "^250 " } },
    ["smtp AUTH PLAIN"] = { "smtp", { upto = "^220" }, { send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n", upto = "^235" },
      { send = "NOOP\r\n", upto = "^250" } },
    ["smtp AUTH LOGIN"] = { "smtp", { upto = "^220" }, { send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH LOGIN\r\n", upto = "^334" }, { send = "dQ==\r\n", upto = "^334" },
      { send = "cA==\r\n", upto = "^235" } },
    ["recipients without a login"] = { "mx", { upto = "^220" },
      { send = "EHLO x\r\n", upto = "^250 " }, { send = "RCPT TO:<c@d>\r\n", upto = "^503" },
      { send = "MAIL FROM:<a@b>\r\n", upto = "^250" },
      { send = "MAIL FROM:<a@b>\r\n", upto = "^503" },
      { send = "RCPT TO:<c@d>\r\n", upto = "^250" }, { send = "DATA\r\n", upto = "^250" } },
  } do
    it("says the same: " .. name, function()
      both(table.remove(lines, 1), lines)
    end)
  end

  it("imap_client_buffer: a command that is too long", function()
    both("narrow", { { upto = "^%* OK" }, { send = "a NOOP " .. ("x"):rep(400) .. "\r\n",
      upto = "^a OK" } })
    local steps = { { upto = "^%* OK" }, { send = "a NOOP " .. ("x"):rep(505), ends = "BAD" } }
    -- what is too long to be a command has no tag
    local expected = pair.talk(pair.real.at, "narrow", steps):all():gsub("a BAD", "* BAD")
    assert.equal(expected, pair.talk(pair.gw.at, "narrow", steps):all())
  end)

  it("smtp_client_buffer: a command that is too long", function()
    both("narrowsmtp", { { upto = "^220" }, { send = "NOOP " .. ("x"):rep(400) .. "\r\n",
      upto = "^250" } })
    both("narrowsmtp", { { upto = "^220" }, { send = "NOOP " .. ("x"):rep(507), ends = "^500" } })
  end)

  describe("asks the auth server the same:", function()
    it("imap", function()
      asks("imap", { { send = "a LOGIN \"u x\" \"p w%\"\r\n", upto = "^a OK" } })
    end)

    it("pop3", function()
      asks("pop3", { { send = "USER u\r\nPASS p\r\n", upto = "^%+OK logged in" } })
    end)

    it("smtp", function()
      asks("smtp", { { send = "EHLO x\r\nAUTH PLAIN " .. client.plain("u", "p") .. "\r\n",
        upto = "^235" } })
    end)

    it("a recipient without a login", function()
      asks("mx", { { send = "EHLO x\r\n", upto = "^250 " },
        { send = "MAIL FROM:<a@b> SIZE=1\r\n", upto = "^250" },
        { send = "rcpt TO:<c@d>\r\n", upto = "^250" } })
    end)
  end)

  describe("logs in the same:", function()
    local function heard_same(server)
      assert.equal(server:peer(1):all(), server:peer(2):all())
    end

    it("smtp, by XCLIENT alone", function()
      both("smtp", { { send = "EHLO x\r\n", upto = "^250 " },
        { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n", upto = "^235" } })
      heard_same(pair.smtp)
    end)

    it("smtp, without XCLIENT", function()
      both("smtpmore", { { send = "EHLO x\r\n", upto = "^250 " },
        { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n", upto = "^235" } })
      heard_same(pair.smtp)
    end)

    it("a recipient without a login", function()
      both("mx", { { send = "EHLO x\r\n", upto = "^250 " },
        { send = "MAIL FROM:<a@b>\r\n", upto = "^250" },
        { send = "RCPT TO:<c@d>\r\n", upto = "^250" } })
      heard_same(pair.smtp)
    end)

    it("pop3", function()
      both("pop3", { { send = "USER u\r\nPASS p w\r\n", upto = "^%+OK logged in" } })
      heard_same(pair.pop3)
    end)

    it("imap", function()
      both("imap", { { send = "a LOGIN u \"p w\"\r\n", upto = "^a OK" } })
      heard_same(pair.imap)
    end)
  end)

  describe("refuses the same:", function()
    it("imap", function()
      pair.answer = { ["Auth-Status"] = "go away" }
      both("imap", { { upto = "^%* OK" }, { send = "a LOGIN u p\r\n", ends = "^a NO" } })
    end)

    it("imap, after Auth-Wait", function()
      pair.answer = { ["Auth-Status"] = "go away", ["Auth-Wait"] = "1" }
      both("imap", { { upto = "^%* OK" }, { send = "a LOGIN u p\r\n", upto = "^a NO" },
        { send = "b NOOP\r\n", upto = "^b OK" } })
    end)

    it("pop3", function()
      pair.answer = { ["Auth-Status"] = "go away" }
      both("pop3", { { send = "USER u\r\nPASS p\r\n", ends = "^%-ERR" } })
    end)

    it("smtp", function()
      pair.answer = { ["Auth-Status"] = "go away" }
      both("smtp", { { upto = "^220" },
        { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n", ends = "^535" } })
    end)

    it("smtp, by its own code", function()
      pair.answer = { ["Auth-Status"] = "go away", ["Auth-Error-Code"] = "454 4.3.0" }
      both("smtp", { { upto = "^220" },
        { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n", ends = "^454" } })
    end)

    it("what an upstream refuses", function()
      pair.imap.script = upstream.imap { login = function(peer, tag)
        peer:send_line(tag .. " NO [ALERT] not you")
        return false
      end }
      both("imap", { { send = "a LOGIN u p\r\n", ends = "^%* BAD" } })
    end)

    it("when nobody is there: imap, pop3 and smtp", function()
      pair.answer = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1", ["Auth-Port"] = "1",
        ["Auth-Pass"] = "p" }
      both("imap", { { send = "a LOGIN u p\r\n", ends = "^%* BAD" } })
      both("pop3", { { send = "USER u\r\nPASS p\r\n", ends = "^%-ERR" } })
      both("smtp", { { send = "AUTH PLAIN " .. client.plain("u", "p") .. "\r\n",
        ends = "^451" } })
    end)

    it("when the auth server makes no sense", function()
      pair.answer = { ["Auth-Status"] = "OK", ["Auth-Server"] = "a.name", ["Auth-Port"] = "143" }
      both("pop3", { { send = "USER u\r\nPASS p\r\n", ends = "^%-ERR" } })
    end)

    it("the words of an upstream, with proxy_pass_error_message", function()
      pair.imap.script = upstream.imap { login = function(peer, tag)
        peer:send_line(tag .. " NO [ALERT] not you")
        return false
      end }
      both("imapmore", { { send = "a LOGIN u p\r\n", ends = "^a NO" } })
    end)
  end)
end)
