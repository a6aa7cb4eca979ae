--- What a worker opens while policies use the modules: nothing.
local child = require "spec.support.child"
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local http_server = require "spec.support.http_server"
local modules = require "spec.support.modules"
local processes = require "spec.support.processes"
local upstream = require "spec.support.upstream"

local OPENING = "open,openat,openat2,creat,execve,execveat"

local BODIES = {
  http = [[ return assert(http.get("http://auth.test:" .. PORT .. "/")).status ]],
  tls = [[
    local res, err = http.get("https://auth.test:" .. TLS_PORT .. "/")
    return res, err.kind]],
  dns = [[ return #assert(dns.resolve "auth.test") ]],
  socket = [[ return assert(socket.tcp():connect("auth.test", PORT)) ]],
  crypt = [[ return crypt.verify(credentials.password, crypt.DUMMY) ]],
  sha = [[ return crypt.verify(credentials.password, "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=") ]],
  bcrypt = [[ return crypt.hash("x", { scheme = "bcrypt", rounds = 4 }) ~= nil ]],
  file = [[ return file.read("note") ]],
  json = [[ return "=" .. json.encode { 1 } ]],
}

local ANSWERS = { http = "200", tls = "nil | tls", dns = "1", socket = "true", crypt = "false",
  sha = "true", bcrypt = "true", file = "noted", json = "=[1]" }

describe("a worker whose policies use the modules", function()
  it("opens no file and starts no program", function()
    local server = http_server.start { answer = function() return {} end }
    local garbage = upstream.start { script = function(peer) peer:send_line "no TLS here" end }
    local dns = dns_server.start { ["auth.test"] = { A = { "127.0.0.1" } } }
    local run = modules.start {
      bodies = BODIES,
      top = ("local PORT, TLS_PORT = %d, %d\nlocal _ = file.read 'note'")
        :format(server.port, garbage.port),
      files = { note = "noted" },
      configuration = ("resolver = { %q },"):format(dns.address),
    }
    local worker = processes.children(run.gateway.process.pid)[1]
    local trace = child.start { "strace", "-f", "-e", "trace=" .. OPENING .. ",accept4",
      "-p", tostring(worker), log = run.gateway.folder .. "/trace" }
    trace:expect "attached"

    for name, expected in pairs(ANSWERS) do assert.equal(expected, run(name, 10)) end
    client.discard_all()
    trace:stop()

    local seen = trace:output()
    assert.matches("accept4%(", seen)
    for name in OPENING:gmatch "[^,]+" do assert.not_matches("%f[%w]" .. name .. "%(", seen) end
    run.stop()
    server:stop()
    garbage:stop()
    dns:stop()
  end)
end)
