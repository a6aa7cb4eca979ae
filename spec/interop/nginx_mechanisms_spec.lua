--- Whole logins by each mechanism, beside the real nginx: what each of the three others hears.
local client = require "spec.support.client"
local mime = require "mime"
local nginx_pair = require "spec.support.nginx_pair"

local MAIL = [[
  auth_http    127.0.0.1:@auth/auth;
  auth_http_header X-First "one two";
  auth_http_header X-Second 2;
  server_name  mail.example.org;
  set_real_ip_from 127.0.0.0/8;
  server { listen 127.0.0.1:@imap; protocol imap; imap_auth plain login cram-md5; }
  server { listen 127.0.0.1:@pop3; protocol pop3; pop3_auth plain apop cram-md5; }
  server { listen 127.0.0.1:@smtp; protocol smtp; smtp_auth plain login cram-md5; }
  server { listen 127.0.0.1:@logs; protocol smtp; smtp_auth plain login cram-md5;
           proxy_smtp_auth on; }
  server { listen 127.0.0.1:@mx; protocol smtp; smtp_auth none; }
  server { listen 127.0.0.1:@proxied proxy_protocol; protocol imap; proxy_protocol on; }
  server { listen 127.0.0.1:@proxiedmx proxy_protocol; protocol smtp; smtp_auth none; }
  server { listen 127.0.0.1:@imapcram; protocol imap; imap_auth cram-md5; }
  server { listen 127.0.0.1:@pop3cram; protocol pop3; pop3_auth cram-md5; }
  server { listen 127.0.0.1:@smtpcram; protocol smtp; smtp_auth cram-md5; }
]]

local DIGEST = ("0123456789abcdef"):rep(2)

--- The response to a challenge, which must be a salt of the server.
local function respond(challenge)
  assert.matches("^<%d+%.%d+@mail%.example%.org>$", mime.unb64(challenge))
  return mime.b64("ann " .. DIGEST) .. "\r\n"
end

describe("mechanisms beside the real nginx:", function()
  local pair
  setup(function() pair = nginx_pair.start { mail = MAIL } end)
  after_each(function() pair:clear() end)
  teardown(function() pair:stop() end)

  --- A login by both; both upstreams heard the same, and the auth server too. Its request.
  local function login(name, steps)
    local request = pair:asks(name, steps, true)
    local server = pair[request.headers["auth-protocol"]]
    assert.equal(server:peer(1):all(), server:peer(2):all())
    return request
  end

  local function with(headers)
    pair.answer = function(request) return pair:ok(request, headers) end
  end

  local GREETS = { imap = { upto = "^%* OK" }, pop3 = { upto = "^%+OK" }, smtp = { upto = "^220" } }
  local OK = { imap = "^a OK", pop3 = "^%+OK logged in", smtp = "^235" }
  local PROMPT = { imap = "^%+ ?(.*)$", pop3 = "^%+ ?(.*)$", smtp = "^334 ?(.*)$" }
  local VERB = { imap = "a AUTHENTICATE ", pop3 = "AUTH ", smtp = "AUTH " }
  local PLAIN = client.plain("u%x", "p \195\188")

  for _, protocol in ipairs { "imap", "pop3", "smtp" } do
    local greets, ok, prompt = GREETS[protocol], OK[protocol], PROMPT[protocol]
    local function auth(words, upto)
      return { send = VERB[protocol] .. words .. "\r\n", upto = upto }
    end

    it("PLAIN, prompted: " .. protocol, function()
      local request = login(protocol, { greets, auth("PLAIN", prompt),
        { send = PLAIN .. "\r\n", upto = ok } })
      assert.truthy(request.head:find("\r\nAuth-User: u%25x\r\nAuth-Pass: p%20\195\188\r\n", 1,
        true), request.head)
    end)

    it("PLAIN at once, in small letters: " .. protocol, function()
      login(protocol, { greets, auth("plain " .. PLAIN, ok) })
    end)

    it("PLAIN with an authorization identity, which is dropped: " .. protocol, function()
      local request = login(protocol, { greets, auth("PLAIN " .. mime.b64 "other\0u\0p", ok) })
      assert.equal("u", request.headers["auth-user"])
    end)

    it("LOGIN, prompted: " .. protocol, function()
      login(protocol, { greets, auth("LOGIN", prompt), { send = "dQ==\r\n", upto = prompt },
        { send = "cA==\r\n", upto = ok } })
    end)

    it("LOGIN with the name at once: " .. protocol, function()
      login(protocol, { greets, auth("LOGIN dQ==", prompt), { send = "cA==\r\n", upto = ok } })
    end)

    it("CRAM-MD5: " .. protocol, function()
      with { ["Auth-Pass"] = "clear secret" }
      local request = login(protocol, { greets, auth("CRAM-MD5", prompt),
        { send = respond, upto = ok } })
      assert.equal("cram-md5", request.headers["auth-method"])
      assert.equal(DIGEST, request.headers["auth-pass"])
      assert.matches("^<%d+%.%d+@mail%.example%.org>$", request.headers["auth-salt"])
    end)

    it("CRAM-MD5 that nobody gives a password for: " .. protocol, function()
      pair:both(protocol, { greets, auth("CRAM-MD5", prompt),
        { send = respond, [protocol == "smtp" and "upto" or "ends"] = "." } })
    end)

    it("another name and password by the auth server: " .. protocol, function()
      with { ["Auth-User"] = "b@example.org", ["Auth-Pass"] = "p w" }
      login(protocol, { greets, auth("PLAIN " .. PLAIN, ok) })
    end)

    it("again after a refusal with Auth-Wait: " .. protocol, function()
      pair.answer = function(request)
        if request.headers["auth-login-attempt"] == "2" then return pair:ok(request) end
        return { ["Auth-Status"] = "no, no", ["Auth-Wait"] = "1" }
      end
      local refused = { imap = "^a NO no, no$", pop3 = "^%-ERR no, no$",
        smtp = "^535 5.7.0 no, no$" }
      pair:asks(protocol, { greets, auth("PLAIN " .. PLAIN, refused[protocol]),
        auth("PLAIN " .. PLAIN, ok) })
    end)

    it("WAIT, and the same question again: " .. protocol, function()
      local asked = {}
      pair.answer = function(request)
        local key = request.head:match "Client%-Port" or "nginx"
        asked[key] = (asked[key] or 0) + 1
        if asked[key] > 1 then return pair:ok(request) end
        return { ["Auth-Status"] = "WAIT", ["Auth-Wait"] = "1" }
      end
      pair:asks(protocol, { greets, auth("PLAIN " .. PLAIN, ok) })
    end)
  end

  it("APOP", function()
    with { ["Auth-Pass"] = "clear secret" }
    local request = login("pop3", { GREETS.pop3,
      { send = "APOP ann " .. DIGEST .. "\r\n", upto = OK.pop3 } })
    assert.equal("apop", request.headers["auth-method"])
    assert.equal(DIGEST, request.headers["auth-pass"])
    assert.matches("^<%d+%.%d+@mail%.example%.org>$", request.headers["auth-salt"])
  end)

  it("proxy_smtp_auth: PLAIN upstream, and no name in XCLIENT", function()
    with { ["Auth-User"] = "b@example.org", ["Auth-Pass"] = "p w" }
    login("logs", { GREETS.smtp, { send = "EHLO me\r\n", upto = "^250 " },
      { send = "AUTH PLAIN " .. PLAIN .. "\r\n", upto = OK.smtp } })
    assert.matches("XCLIENT ADDR=127.0.0.1 NAME=%[UNAVAILABLE%]\r\n", pair.smtp:peer(1):all())
    assert.matches("AUTH PLAIN " .. mime.b64 "\0b@example.org\0p w" .. "\r\n",
      pair.smtp:peer(1):all())
  end)

  it("a recipient without a login, twice refused", function()
    pair.answer = function(request)
      if request.headers["auth-login-attempt"] == "3" then return pair:ok(request) end
      return { ["Auth-Status"] = "not here", ["Auth-Error-Code"] = "550 5.1.1",
        ["Auth-Wait"] = "1" }
    end
    pair:asks("mx", { GREETS.smtp, { send = "HELO  me\r\n", upto = "^250 " },
      { send = "mail FROM:<a@b>  SIZE=1 \r\n", upto = "^250" },
      { send = "RCPT TO:<c@d>\r\n", upto = "^550 5.1.1 not here$" },
      { send = "RCPT TO:<e%f@d>\r\n", upto = "^550" },
      { send = "rcpt to:<g@d> X=Y\r\n", upto = "^250" } })
  end)

  it("the addresses of a PROXY header", function()
    pair.imap.script = function(peer)
      peer:read_line()
      require "spec.support.upstream".imap { capabilities = "X" }(peer)
    end
    local request = pair:asks("proxied", {
      { send = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 143\r\n", upto = "^%* OK" },
      { send = "a LOGIN u p\r\n", upto = "^a OK" } })
    assert.equal("192.0.2.7", request.headers["client-ip"])
    assert.equal("192.0.2.1", request.headers["proxy-protocol-server-addr"])
    assert.matches("^PROXY TCP4 192.0.2.7 127.0.0.1 1234 %d+\r\n", pair.imap:peer(1):all())
    assert.matches("^PROXY TCP4 192.0.2.7 192.0.2.1 1234 143\r\n", pair.imap:peer(2):all())
    pair:asks("proxiedmx", {
      { send = "PROXY TCP6 2001:db8::7 2001:db8::1 1234 25\r\n", upto = "^220" },
      { send = "MAIL FROM:<a@b>\r\n", upto = "^250" },
      { send = "RCPT TO:<c@d>\r\n", upto = "^250" } })
    assert.equal(pair.smtp:peer(1):all(), pair.smtp:peer(2):all())
  end)

  it("PLAIN and LOGIN are taken where they are not offered", function()
    pair:asks("imapcram", { GREETS.imap, { send = "a CAPABILITY\r\n", upto = "^a OK" },
      { send = "a LOGIN u p\r\n", upto = "^a OK" } })
    pair:asks("imapcram", { GREETS.imap, { send = "a AUTHENTICATE PLAIN " .. PLAIN .. "\r\n",
      upto = "^a OK" } })
    pair:asks("pop3cram", { GREETS.pop3, { send = "CAPA\r\n", upto = "^%.$" },
      { send = "USER u\r\nPASS p\r\n", upto = "^%+OK logged in" } })
    pair:asks("smtpcram", { GREETS.smtp, { send = "EHLO x\r\n", upto = "^250 " },
      { send = "AUTH LOGIN dQ==\r\n", upto = "^334" }, { send = "cA==\r\n", upto = "^235" } })
  end)
end)
