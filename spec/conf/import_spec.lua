--- `moongate import`: its report, its mistakes, and the directives of TLS and of the main level.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local command = require "spec.support.command"
local nginx = require "spec.support.nginx"
local tls = require "spec.support.tls"

describe("moongate import", function()
  local made
  after_each(function()
    client.discard_all()
    if made then command.remove(made.folder) end
    made = nil
  end)

  local SERVER = "server { listen 127.0.0.1:143; }"

  local function convert(mail, options)
    options = options or {}
    options.mail = mail
    made = nginx.convert(options)
    return made.output
  end

  local function mistake(mail, expected)
    local output = convert(mail)
    assert.equal(1, made.status, output)
    assert.truthy(output:find(expected, 1, true), output)
    command.remove(made.folder)
    made = nil
  end

  it("refuses what nginx refuses, with file and line", function()
    mistake("auth_htp x;\n" .. SERVER,
      "nginx.conf:3: unknown directive \"auth_htp\" (did you mean \"auth_http\"?)")
    mistake("auth_http x;\nauth_http y;\n" .. SERVER,
      "nginx.conf:4: \"auth_http\" directive is duplicate")
    mistake(SERVER, "nginx.conf:3: no \"auth_http\" is defined for server")
    mistake("auth_http x; server { protocol imap; }", "no \"listen\" is defined for server")
    mistake("auth_http x; server { listen 1143; }", "unknown mail protocol for server")
    mistake("auth_http x; server { listen 143; listen *:143; }",
      "duplicate \"0.0.0.0:143\" address and port pair")
    mistake("auth_http x; starttls on;" .. SERVER,
      "no \"ssl_certificate\" is defined for server")
    mistake("auth_http x; timeout soon;" .. SERVER, "timeout: invalid time \"soon\"")
    mistake("auth_http x; imap_auth kerberos;" .. SERVER, "imap_auth: invalid value \"kerberos\"")
    mistake("auth_http x; server { listen 143 fast; }", "the invalid \"fast\" parameter")
    mistake("auth_http x; server { listen 143; if x { } }", "unknown directive \"if\"")
    mistake("auth_http x y;" .. SERVER, "invalid number of arguments in \"auth_http\"")
    mistake("listen 143;" .. SERVER, "\"listen\" directive is not allowed here")
    mistake("", "there is no server{} in mail{}")
  end)

  it("tells what became of every directive", function()
    local output = convert([[
      auth_http x; proxy on; ssl_certificate_compression on; max_errors 9;
      resolver 127.0.0.1;]] .. SERVER, { main = [[
daemon off; load_module x.so; lock_file x; worker_cpu_affinity auto; env TZ;
events { worker_connections 100; use epoll; }
http { server { listen 80; } }
]] })
    assert.equal(0, made.status, output)
    for _, line in ipairs { "daemon off: not applicable", "load_module x.so: not applicable",
      "lock_file x: not applicable", "worker_cpu_affinity auto: not applicable",
      "env TZ: skipped", "worker_connections 100: kept with a difference",
      "use epoll: not applicable", "http {}: skipped", "proxy on: not applicable",
      "ssl_certificate_compression on: not applicable", "max_errors 9: kept: limits.errors",
      "auth_http x: kept with a difference", "resolver 127.0.0.1: kept: no server has it from here",
      "upstream_tls = \"starttls\"" } do
      assert.truthy(output:find(line, 1, true), line .. " in\n" .. output)
    end
  end)

  it("reads the parameters of resolver", function()
    local function resolver(words)
      local output = convert("auth_http x; server { listen 25; protocol smtp; " .. words .. " }")
      assert.equal(0, made.status, output)
      local written = nginx.written(made):match "\n  resolver += (%b{})"
      command.remove(made.folder)
      made = nil
      return written, output
    end
    local kept, output = resolver "resolver 127.0.0.1 [::1]:54 valid=90s;"
    assert.equal('{ "127.0.0.1", "[::1]:54", valid = "90s" }', kept)
    assert.matches("valid=90s: kept: resolver and its valid, resolve_client", output)
    kept, output = resolver "resolver 127.0.0.1 valid=0s;"
    assert.equal('{ "127.0.0.1" }', kept)
    assert.matches("valid=0s: kept: resolver, resolve_client", output)
    kept, output = resolver "resolver 127.0.0.1 valid=30d;"
    assert.equal('{ "127.0.0.1", valid = "1d" }', kept)
    assert.matches("valid=30d: kept with a difference.*\"1d\" is the most", output)
    kept, output = resolver "resolver 127.0.0.1 ipv4=off;"
    assert.equal('{ "127.0.0.1" }', kept)
    assert.matches("kept with a difference.*ipv4=off: a client's name", output)
    kept, output = resolver "resolver 127.0.0.1 status_zone=dns;"
    assert.equal('{ "127.0.0.1" }', kept)
    assert.matches("kept with a difference.*status_zone=: there is no such zone", output)
    kept, output = resolver [[resolver 127.0.0.1 valid=5s; }
      server { listen 26; protocol smtp; resolver 127.0.0.1; ]]
    assert.equal('{ "127.0.0.1", valid = "5s" }', kept)
    assert.matches("kept with a difference.*answers are kept as those of the first", output)
    mistake("auth_http x; server { listen 25; protocol smtp; resolver ::1 valid=soon; }",
      "resolver: invalid \"valid=soon\"")
    mistake("auth_http x; server { listen 25; protocol smtp; resolver ::1 cache=5; }",
      "resolver: invalid parameter \"cache=5\"")
  end)

  it("does not write over what is there, but with --force", function()
    convert("auth_http x;" .. SERVER)
    local words = { folder = made.folder }
    local output, status = command.run("import nginx.conf -o out", words)
    assert.equal(1, status)
    assert.matches("is there already: %-%-force", output)
    output, status = command.run("import nginx.conf -o out --force", words)
    assert.equal(0, status, output)
  end)

  it("writes what moongate check finds nothing wrong with", function()
    convert([[auth_http unix:/run/auth:/x; auth_http_header X-Token "a \"b\"";
      server { listen 143; listen [::1]:143 ipv6only=off; listen 10143-10145; protocol imap; }
      server { listen 127.0.0.1:25; auth_http [::1]:80; }]])
    local output, status = command.run("check -c out/moongate.lua", { folder = made.folder })
    assert.equal(0, status, output)
    local text = nginx.written(made)
    assert.truthy(text:find('"http://unix:/run/auth:/x"', 1, true))
    assert.truthy(text:find('"0.0.0.0:10145"', 1, true))
    assert.truthy(text:find("ipv6_only = false,", 1, true))
  end)

  it("has its own help, and says how it is used", function()
    convert("auth_http x;" .. SERVER)
    local words = { folder = made.folder }
    local output, status = command.run("import --help", words)
    assert.matches("^Usage: moongate import FILE", output)
    assert.equal(0, status)
    for _, arguments in ipairs { "import", "import nginx.conf", "import a b -o c" } do
      output, status = command.run(arguments, words)
      assert.equal(2, status, output)
    end
  end)

  describe("of the main level:", function()
    it("log, pid, workers, descriptors and sessions", function()
      local gw = nginx.import { mail = [[auth_http x;
        server { listen 127.0.0.1:@imap; protocol imap; }]], main = [[
pid run.pid; worker_processes 1; worker_rlimit_nofile 300; worker_shutdown_timeout 5s;
events { worker_connections 2; }
]] }
      local file = assert(io.open(gw.above .. "/run.pid"))
      assert.equal(gw.process.pid, file:read "*n")
      file:close()
      gw:expect_log "serving with 1 workers"
      local limits = assert(io.popen("cat $(pgrep -P " .. gw.process.pid
        .. " | sed 's:.*:/proc/&/limits:')"))
      assert.matches("Max open files%s+300%s+300", limits:read "*a")
      limits:close()
      client.connect(gw.at.imap):expect "^%* OK" -- max_sessions is one: the next one is turned away
      client.connect(gw.at.imap):expect "^%* BYE Too many connections"
      local path = gw.above .. "/run.pid"
      gw:halt()
      assert.is_nil(io.open(path))
      gw:remove()
      command.remove(gw.above)
    end)

    it("error_log: its file below the prefix, its level", function()
      convert("auth_http x;" .. SERVER, { main = "error_log logs/mail.log info;",
        words = "-p /srv/prefix" })
      local text = nginx.written(made)
      assert.truthy(text:find('target = "/srv/prefix/logs/mail.log"', 1, true))
      assert.truthy(text:find('level = "info"', 1, true))
    end)

    it("error_log: syslog, and that of the main level beside it", function()
      local output = convert("auth_http x; error_log syslog:server=unix:/dev/log,facility=mail;"
        .. SERVER, { main = "error_log stderr debug;" })
      assert.truthy(nginx.written(made):find(
        'target = "syslog:mail,server=unix:/dev/log,tag=nginx"', 1, true))
      assert.matches("stderr debug: kept with a difference: what is told of the program", output)
    end)
  end)

  describe("of ssl:", function()
    local authority, leaf, gw
    setup(function()
      authority = ca.new()
      leaf = authority:leaf { names = { "DNS:mail.spec.test" } }
      gw = nginx.import { mail = ([[
        auth_http x;
        ssl_certificate %s; ssl_certificate_key %s;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_session_timeout 10m;
        ssl_session_cache shared:MAIL:1m; ssl_session_tickets off; ssl_ecdh_curve X25519:P-256;
        server { listen 127.0.0.1:@imaps ssl; listen 127.0.0.1:@imap; protocol imap; starttls on; }
        server { listen 127.0.0.1:@only; protocol imap; starttls only; ssl_protocols TLSv1.2; }
        server { listen 127.0.0.1:@pop3; protocol pop3; starttls only;
                 ssl_verify_client on; ssl_client_certificate %s; ssl_verify_depth 2; }
        server { listen 127.0.0.1:@smtp; protocol smtp; starttls on;
                 ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256;
                 ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; }
      ]]):format(leaf.certificate, leaf.key, authority.certificate) }
    end)
    teardown(function()
      nginx.discard(gw)
      authority:remove()
    end)

    it("listen ssl, and starttls on beside it", function()
      local c = tls.connect(gw.at.imaps, { ca = authority.certificate })
      c:expect "^%* OK IMAP4 ready$"
      c = client.connect(gw.at.imap)
      c:send_line("a CAPABILITY"):expect_until "AUTH=PLAIN STARTTLS$"
    end)

    it("starttls only: no login in clear", function()
      local c = client.connect(gw.at.only)
      c:send_line("a CAPABILITY"):expect_until "UIDPLUS STARTTLS LOGINDISABLED$"
      c:send_line("b LOGIN u p"):expect_until "^b BAD invalid command$"
      c = client.connect(gw.at.pop3)
      c:send_line("USER u"):expect_until "^%-ERR invalid command$"
    end)

    it("the other settings are written as they were", function()
      local text = nginx.written { folder = gw.above }
      for _, words in ipairs { 'max_version = "1.2",', "prefer_server_ciphers = true,",
        'session_timeout = "10m",', "session_cache = true,", "tickets = false,",
        'curves = "X25519:P-256",', 'client_certificate = "required",', "verify_depth = 2,",
        'commands = { "Ciphersuites TLS_CHACHA20_POLY1305_SHA256" },' } do
        assert.truthy(text:find(words, 1, true), words)
      end
    end)
  end)
end)
