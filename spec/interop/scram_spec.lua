--- SCRAM with a real client, gsasl, towards a real Dovecot and Postfix with a master user; and
--- with somebody in the middle.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local mime = require "mime"
local scram = require "spec.support.scram"
local servers = require "spec.support.servers"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local ERIN = "erin@example.org"

-- What Dovecot's own passdb has is another password: nobody is logged in there with erin's.
local DOVECOT = [[
passdb {
  driver = passwd-file
  master = yes
  args = $folder/masters
}
]]

local CONFIG = [[
local c = require "moongate.config"
local function listen(protocol, port)
  return c.listen(protocol) { address = "127.0.0.1:0", protocol = protocol, policy = { "users" },
    upstream = "127.0.0.1:" .. port, limits = { attempts = 20 },
    mechanisms = { "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256",
      "SCRAM-SHA-256-PLUS" },
    tls = { mode = "starttls", certificate = %q, key = %q } }
end
return c.gateway { workers = 2, listen("imap", %d), listen("pop3", %d), listen("smtp", %d) }
]]

local POLICY = [[
local moongate = require "moongate"
local secret = require "moongate.secret"

local stored = { ["SCRAM-SHA-1"] = %q, ["SCRAM-SHA-256"] = %q }
local master = secret.of "eclipse"

return {
  verifier = function(_, request)
    if request.user == "down@example.org" then error "the database is down" end
    if request.user ~= "erin@example.org" then return moongate.reject { reason = "unknown" } end
    return moongate.verifier { stored = stored[request.mechanism] }
  end,
  auth = function(_, credentials)
    if credentials.password then return moongate.reject {} end
    return moongate.accept { upstream_auth = moongate.login { user = "boss", password = master,
      authzid = credentials.user } }
  end,
}
]]

--- Runs a program to its end while the spec's loop goes on; its output and exit status.
local function run(words)
  local log = os.tmpname()
  words.log = log
  local program = child.start(words)
  loop.watch(program.pidfd, { reading = true, on_readable = function() end })
  loop.wait("the end of " .. words[1], function() return not program:is_running() end, 30)
  loop.forget(program.pidfd)
  local text = program:output()
  local code = program:stop()
  os.remove(log)
  return text, code
end

describe("SCRAM", function()
  local real, gw, authority, leaf

  --- What gsasl stores of a password.
  local function made(mechanism)
    local text, code = run { "gsasl", "--mkpasswd", "--mechanism=" .. mechanism,
      "--password=moonlight", "--iteration-count=4096" }
    assert.equal(0, code, text)
    return (text:match "^%S+")
  end

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { names = { "DNS:localhost", "IP:127.0.0.1" } }
    real = servers.start { users = { [ERIN] = "not erin's own" }, dovecot = DOVECOT,
      files = { masters = "boss:{PLAIN}eclipse\n" } }
    gw = gateway.start { files = {
      ["moongate.lua"] = CONFIG:format(leaf.certificate, leaf.key, real.imap, real.pop3,
        real.submission),
      ["scripts/users.lua"] = POLICY:format(made "SCRAM-SHA-1", made "SCRAM-SHA-256"),
    } }
  end)
  teardown(function()
    if gw then gw:stop() end
    if real then real:stop() end
    if authority then authority:remove() end
  end)
  after_each(function() client.discard_all() end)

  --- gsasl's output and exit status; it says what was said by each side.
  local function gsasl(protocol, options)
    local words = { "gsasl", "--" .. protocol, "--verbose",
      "--mechanism=" .. (options.mechanism or "SCRAM-SHA-256"),
      "--authentication-id=" .. (options.user or ERIN),
      "--password=" .. (options.password or "moonlight") }
    if options.tls then
      table.insert(words, "--starttls")
      table.insert(words, "--x509-ca-file=" .. authority.certificate)
      table.insert(words, "--priority=" .. options.tls)
    else
      table.insert(words, "--no-starttls")
    end
    if options.unbound then table.insert(words, "--no-cb") end
    table.insert(words, "127.0.0.1")
    table.insert(words, tostring(options.port or gw.ports[protocol]))
    return run(words)
  end

  local NORMAL, TLS12 = "NORMAL", "NORMAL:-VERS-TLS1.3"
  local YES = { imap = "\n%S+ OK [^\n]*Logged in", smtp = "\n235 2%.%d%.0 " }
  local NO = { imap = "NO %[AUTHENTICATIONFAILED%]", smtp = "535 5%.7%.8" }
  local LATER = { imap = "NO %[UNAVAILABLE%]", smtp = "454 4%.7%.0" }

  for _, protocol in ipairs { "imap", "smtp" } do
    describe("by gsasl in " .. protocol, function()
      for _, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
        it("lets erin in, by " .. mechanism, function()
          local text, code = gsasl(protocol, { mechanism = mechanism })
          assert.equal(0, code, text)
          assert.matches(YES[protocol], text)
        end)

        for name, priority in pairs { ["TLS 1.3"] = NORMAL, ["TLS 1.2"] = TLS12 } do
          it(("lets erin in, by %s-PLUS over %s"):format(mechanism, name), function()
            local text, code = gsasl(protocol, { mechanism = mechanism .. "-PLUS",
              tls = priority })
            assert.equal(0, code, text)
            assert.matches(YES[protocol], text)
          end)
        end
      end

      it("is told the same of a wrong password and of no user", function()
        for _, options in ipairs { { password = "sunlight" }, { user = "nobody@example.org" } } do
          local text, code = gsasl(protocol, options)
          assert.not_equal(0, code, text)
          assert.matches(NO[protocol], text)
        end
      end)

      it("is told of an outage", function()
        local text, code = gsasl(protocol, { user = "down@example.org" })
        assert.not_equal(0, code, text)
        assert.matches(LATER[protocol], text)
      end)
    end)
  end

  it("lets erin in by POP3, to Dovecot's own mailbox", function()
    real:deliver(ERIN, "by the light", "of the moon")
    local c = client.connect(gw.ports.pop3)
    c:expect "^%+OK"
    local s = scram.client { mechanism = "SCRAM-SHA-256", user = ERIN, password = "moonlight" }
    c:send_line "AUTH SCRAM-SHA-256":expect "^%+ ?$"
    local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect "^%+ (%S+)$")
    local last = mime.unb64(c:send_line((mime.b64(s:final(first)))):expect "^%+ (%S+)$")
    assert.is_true(s:believes(last))
    c:send_line "":expect_until "^%+OK Logged in"
    c:send_line "STAT":expect "^%+OK 1 "
  end)

  --- Somebody whose certificate the client believes, and who has TLS of his own with both: what
  --- they say within it goes on as it is.
  local function middle(protocol, version)
    local words = ({
      imap = { "^* OK", "m STARTTLS", "^m OK", "^(%S+) STARTTLS$", "%s OK begin\r\n" },
      smtp = { "^220 ", "STARTTLS", "^220 ", "^(STARTTLS)$", "220 begin\r\n", "EHLO m.test" },
    })[protocol]
    return upstream.start { script = function(peer)
      local inner = client.connect(gw.ports[protocol])
      local greeting = inner:expect(words[1] .. ".*")
      if words[6] then inner:send_line(words[6]):expect_until "^250 " end
      inner:send_line(words[2]):expect(words[3])
      tls.start(inner, tls.client { ca = authority.certificate, max = version }):handshake()
      peer:send_line(greeting)
      local tag
      repeat
        local line = peer:read_line()
        tag = line:match(words[4])
        if not tag and line:find "CAPABILITY" then
          peer:send("* CAPABILITY IMAP4rev1 STARTTLS\r\n" .. line:match "^%S+" .. " OK done\r\n")
        elseif not tag then
          peer:send "250-m.test\r\n250 STARTTLS\r\n"
        end
      until tag
      peer:send(words[5]:format(tag))
      tls.start(peer, tls.server(leaf))
      peer.plain_sink = function(bytes) inner:send(bytes) end
      inner.plain_sink = function(bytes) peer:send(bytes) end
      peer:handshake()
      loop.wait("the end of who is relayed", function() return peer.ended or inner.ended end, 30)
      peer:close()
      inner:close()
    end }
  end

  for _, protocol in ipairs { "imap", "smtp" } do
    describe("with somebody in the middle of " .. protocol, function()
      local between
      after_each(function() between:stop() end)

      for version, priority in pairs { ["1.3"] = NORMAL, ["1.2"] = TLS12 } do
        it("is refused when it is bound, over TLS " .. version, function()
          between = middle(protocol, version)
          local text, code = gsasl(protocol, { mechanism = "SCRAM-SHA-256-PLUS", tls = priority,
            port = between.port })
          assert.not_equal(0, code, text)
          assert.matches(NO[protocol], text)
        end)
      end

      it("lets him listen when it is not", function()
        between = middle(protocol, "1.3")
        local text, code = gsasl(protocol, { mechanism = "SCRAM-SHA-256", tls = NORMAL,
          unbound = true, port = between.port })
        assert.equal(0, code, text)
        assert.matches(YES[protocol], text)
      end)
    end)
  end

  it("shows no log a password or a proof", function()
    for _, word in ipairs { "moonlight", "eclipse", "c=", "v=" } do
      assert.not_matches(word, gw:log(), 1, true)
    end
  end)
end)
