-- A worker that is out of descriptors.
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local socket = require "socket"

local LIMIT = 64

describe("a worker without descriptors left", function()
  it("pauses accepting instead of spinning, and goes on when there are some again", function()
    local g = gateway.start {
      files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 1, max_sessions = 1000,"),
      prefix = { "prlimit", ("--nofile=%d:%d"):format(LIMIT, LIMIT) },
    }
    local worker = processes.children(g.process.pid)[1]
    local first = pop3.connect(g.ports.pop3)
    local clients = {}
    for i = 1, LIMIT do clients[i] = assert(socket.connect("127.0.0.1", g.ports.pop3)) end
    g.process:expect "Too many open files; accepting pauses"

    -- Those that got in are served meanwhile, and the processor is idle.
    local before, began = processes.cpu(worker), socket.gettime()
    repeat
      assert.matches("^%+OK", pop3.ask(first, "NOOP"))
      socket.select(nil, nil, 0.05)
    until socket.gettime() - began > 1.2
    assert.is_true(processes.cpu(worker) - before < 0.3)

    for i = 1, LIMIT / 2 do clients[i]:close() end
    local late = assert(socket.connect("127.0.0.1", g.ports.pop3))
    late:settimeout(3)
    assert.matches("^%+OK", late:receive "*l")
    local _, pauses = g:log():gsub("accepting pauses", "")
    assert.is_true(pauses <= 2)
    for _, client in ipairs(clients) do client:close() end
    first:close()
    late:close()
    g:stop()
  end)
end)
