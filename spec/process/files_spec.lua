-- What a worker opens once it is ready: nothing.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local by_hand = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local upstream = require "spec.support.upstream"
local site = require "spec.support.site"
local tls = require "spec.support.tls"

local OPENING = "open,openat,openat2,creat,execve,execveat"

local function start_trace(g)
  local worker = processes.children(g.process.pid)[1]
  local trace = child.start { "strace", "-f", "-e", "trace=" .. OPENING .. ",accept4",
    "-p", tostring(worker), log = g.folder .. "/trace" }
  trace:expect "attached"
  return trace
end

local function assert_opened_nothing(trace)
  trace:stop()
  local seen = trace:output()
  assert.matches("accept4%(", seen)
  for name in OPENING:gmatch "[^,]+" do assert.not_matches("%f[%w]" .. name .. "%(", seen) end
end

--- Every module that reaches outside, at its first use.
local POLICY = [[
local moongate = require "moongate"
local auth_http = require("moongate.auth_http").new { url = "http://asked.test:%d/auth" }
local crypt, dns, file = require "moongate.crypt", require "moongate.dns", require "moongate.file"
local http, json = require "moongate.http", require "moongate.json"
local socket = require "moongate.socket"
local seen = require "moongate.shared".get "seen"
local map = file.map("users", { fields = { "user", "hash" } })
return {
  auth = function(session, credentials)
    assert(map:get "ann".hash == "x")
    assert(seen:incr(session.id) == 1 and seen:lease("ann", 9, session))
    for _, scheme in ipairs { "argon2id", "bcrypt", "sha512", "yescrypt" } do
      local hash = assert(crypt.hash("secret", { scheme = scheme,
        rounds = scheme == "bcrypt" and 4 or nil }))
      assert(crypt.verify(credentials.password, hash))
    end
    assert(#assert(dns.resolve("asked.test", "A")) == 1)
    assert(dns.resolve("none.test", "A"))
    local res = assert(http.get "http://asked.test:%d/page")
    assert(json.decode(res.body).fine)
    http.get("https://asked.test:%d/page", { timeout = 1 })
    local s = socket.tcp()
    assert(s:connect("asked.test", %d))
    s:close()
    moongate.sleep(0.01)
    return auth_http(session, credentials)
  end,
}
]]

describe("a worker that is ready", function()
  it("opens none whatever a policy asks for", function()
    local imap = upstream.start { script = upstream.imap() }
    local web = http_server.start { answer = function(request)
      if request.target == "/page" then return { body = '{"fine":true}' } end
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "asked.test",
        ["Auth-Port"] = tostring(imap.port) } }
    end }
    local dns = dns_server.start { ["asked.test"] = { A = { "127.0.0.1" } } }
    local g = gateway.start { files = {
      users = "ann:x\n",
      ["scripts/asks.lua"] = POLICY:format(web.port, web.port, web.port, web.port),
      ["moongate.lua"] = ([[
        local c = require "moongate.config"
        return c.gateway { workers = 1, resolver = { %q }, shared = { seen = "1m" },
          c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "asks" },
          c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", policy = "asks",
            resolve_client = true },
        }]]):format(dns.address),
    } }
    finally(function()
      by_hand.discard_all()
      for _, server in ipairs { imap, web, dns } do server:stop() end
      g:stop()
    end)
    local trace = start_trace(g)
    for _ = 1, 2 do
      local c = by_hand.connect(g.ports.imap)
      c:expect "^%* OK"
      c:send_line("a LOGIN ann secret"):expect_until "^a OK"
      by_hand.connect(g.ports.smtp):expect "^220 "
    end
    by_hand.discard_all()
    assert_opened_nothing(trace)
  end)

  it("opens no file and starts no program during logins", function()
    local server, port = pop3.upstream()
    local g = gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1,",
      "127.0.0.1:" .. port) }
    local trace = start_trace(g)

    for _ = 1, 3 do
      local client, peer = pop3.login(g.ports.pop3, server)
      client:send "STAT\r\n"
      assert.equal("STAT", peer:receive "*l")
      peer:close()
      assert.is_nil(client:receive "*l")
      client:close()
    end
    -- A refused one, and one that is cut off.
    local client = pop3.connect(g.ports.pop3)
    pop3.ask(client, "AUTH NONSENSE")
    client:close()
    g.process:expect "end=client_closed"
    assert_opened_nothing(trace)
    g:stop()
  end)

  it("opens no file when it gets new certificates", function()
    local authority = ca.new()
    finally(function() authority:remove() end)
    local first = authority:leaf { subject = "/CN=first" }
    local second = authority:leaf { subject = "/CN=second" }
    local g = site.start {
      users = {},
      more = "tls_profiles = { default = {} },",
      listen = { imaps = { protocol = "imap", more = ("tls = { mode = 'implicit', "
        .. "certificate = %q, key = %q, ca = 'system', client_certificate = 'optional' },")
        :format(first.certificate, first.key) } },
    }
    local trace = start_trace(g)
    tls.connect(g.ports.imaps):discard()
    authority:join(first.key:match "[^/]+$", second.key)
    authority:join(first.certificate:match "[^/]+$", second.certificate)
    g:expect_log "(listeners have new ones)"
    local c = tls.connect(g.ports.imaps)
    assert.equal("/CN=second", c:peer_subject())
    c:discard()
    assert_opened_nothing(trace)
    g:stop()
  end)
end)
