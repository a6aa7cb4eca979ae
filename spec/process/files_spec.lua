-- What a worker opens once it is ready: nothing.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
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

describe("a worker that is ready", function()
  it("opens no file and starts no program during logins", function()
    local server, port = pop3.upstream()
    local g = gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1,",
      "127.0.0.1:" .. port) }
    local trace = start_trace(g)

    for _ = 1, 3 do
      local client, upstream = pop3.login(g.ports.pop3, server)
      client:send "STAT\r\n"
      assert.equal("STAT", upstream:receive "*l")
      upstream:close()
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
