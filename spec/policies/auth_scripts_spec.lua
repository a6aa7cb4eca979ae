--- scripts/auth_http.lua with auth scripts as people have them behind nginx, in PHP and in nginx's
-- own Perl.
local child = require "spec.support.child"
local client = require "spec.support.client"
local command = require "spec.support.command"
local digest = require "spec.support.digest"
local mime = require "mime"
local nginx = require "spec.support.nginx"
local shipped = require "spec.support.shipped"
local unistd = require "posix.unistd"
local upstream = require "spec.support.upstream"

local SCRIPTS = "spec/support/auth_scripts/"

local function root() return assert(unistd.getcwd()) .. "/" end

--- nginx, whose module for Perl scripts/dev/specs has unpacked.
local PERL = [[
load_module %smodules/ngx_http_perl_module.so;
user root;
master_process off;
error_log stderr info;
pid nginx.pid;
env IMAP_PORT=@imap;
env POP3_PORT=@pop3;
env SMTP_PORT=@smtp;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp;
  fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  perl_modules %sperl;
  perl_modules %s;
  perl_require mailauth.pm;
  server { listen 127.0.0.1:@auth; location /auth { perl mailauth::handler; } }
}
]]

--- Each starts what runs the script, and returns it and its port; it has a `process`.
local LANGUAGES = {
  php = function(ports)
    local folder = command.folder {}
    local process = child.start { "php", "-n", "-d", "variables_order=EGPCS", "-S", "127.0.0.1:0",
      SCRIPTS .. "auth.php", log = folder .. "/log", environment = { IMAP_PORT = ports.imap,
        POP3_PORT = ports.pop3, SMTP_PORT = ports.smtp } }
    local function stop()
      process:stop()
      command.remove(folder)
    end
    return { process = process, stop = stop },
      process:expect("%(http://127%.0%.0%.1:(%d+)%) started", 20)
  end,
  perl = function(ports)
    local module = root() .. "build/nginx-perl/"
    local server = nginx.start { ports = ports, mail = "",
      main = PERL:format(module, module, root() .. SCRIPTS) }
    return server, server.at.auth
  end,
}

for language, start in pairs(LANGUAGES) do
  describe("auth_http with a script in " .. language, function()
    local script, gw, ups

    setup(function()
      ups = { imap = upstream.start { script = upstream.imap() },
        pop3 = upstream.start { script = upstream.pop3() },
        smtp = upstream.start { script = upstream.smtp() } }
      local port
      script, port = start { imap = ups.imap.port, pop3 = ups.pop3.port, smtp = ups.smtp.port }
      gw = shipped.start { policy = { "auth_http" },
        settings = ("auth_http = { url = 'http://127.0.0.1:%s/auth' }"):format(port),
        listen = { imap = 'mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5" },',
          pop3 = 'mechanisms = { "PLAIN", "APOP" },', smtp = "",
          mx = 'protocol = "smtp", auth = "none",' } }
    end)
    after_each(function()
      client.discard_all()
      for _, up in pairs(ups) do up:clear() end
    end)
    teardown(function()
      gw:stop()
      script:stop()
      for _, up in pairs(ups) do up:stop() end
    end)

    local function imap()
      local c = client.connect(gw.ports.imap)
      c:expect "^%* OK"
      return c
    end

    it("logs in on IMAP, POP3 and SMTP", function()
      imap():send_line "a LOGIN ann secret":expect_until "^a OK"
      imap():send_line 'a LOGIN bob "p w%"':expect_until "^a OK"
      local p = client.connect(gw.ports.pop3)
      p:expect "^%+OK"
      p:send_line "USER ann":expect "^%+OK"
      p:send_line "PASS secret":expect "^%+OK"
      local s = client.connect(gw.ports.smtp)
      s:expect "^220"
      s:send_line "EHLO spec.test":expect_until "^250 "
      s:send_line("AUTH PLAIN " .. mime.b64 "\0ann\0secret"):expect "^235"
      assert.same({ "ann", "secret" }, { ups.imap:peer(1).user, ups.imap:peer(1).password })
      assert.same({ "bob", "p w%" }, { ups.imap:peer(2).user, ups.imap:peer(2).password })
      assert.equal("ann", ups.pop3:peer(1).user)
      assert.equal("ann", ups.smtp:peer(1).user)
    end)

    it("tells a refusal in the script's words", function()
      imap():send_line "a LOGIN ann wrong":expect_until "^a NO.*Invalid login or password"
      imap():send_line "a LOGIN eve secret":expect_until "^a NO.*Invalid login or password"
    end)

    if language == "php" then
      it("lets try again as long as the script says so", function()
        local c = imap()
        for _, tag in ipairs { "a", "b", "c" } do
          c:send_line(tag .. " LOGIN ann wrong")
          c:expect_until("^" .. tag .. " NO.*Invalid login or password")
        end
        c:expect_end "eof"
      end)
    else
      it("checks what was made of a challenge", function()
        local c = imap()
        local challenge = mime.unb64(c:send_line "a AUTHENTICATE CRAM-MD5":expect "^%+ (.*)$")
        c:send_line(mime.b64("ann " .. digest.hmac_md5("secret", challenge)))
        c:expect_until "^a OK"
        c = client.connect(gw.ports.pop3)
        local salt = c:expect "^%+OK.-(<.*>)"
        c:send_line("APOP ann " .. digest.md5(salt .. "secret")):expect "^%+OK"
        assert.equal("secret", ups.imap:peer(1).password)
        assert.equal("secret", ups.pop3:peer(1).password)
      end)

      it("answers for recipients, and ends the session of a wrong one", function()
        local function mail()
          local c = client.connect(gw.ports.mx)
          c:expect "^220"
          c:send_line "EHLO spec.test":expect_until "^250 "
          c:send_line "MAIL FROM:<eve@spec.test>":expect "^250"
          return c
        end
        mail():send_line "RCPT TO:<ann@example.org>":expect "^250"
        local c = mail()
        c:send_line "RCPT TO:<eve@example.org>":expect "^550 5%.1%.1 Invalid login or password"
        c:expect_end "eof"
      end)
    end

    it("is killed, which is a temporary failure", function()
      script.process:stop(9)
      imap():send_line "a LOGIN ann secret":expect_until "^a NO %[UNAVAILABLE%]"
    end)
  end)
end
