--- One worker holds thousands of idle sessions and still hears each of them.
local epoll = require "spec.support.epoll"
local gateway = require "spec.support.gateway"

local SESSIONS, AT_ONCE, SECONDS = 5000, 200, 120

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  user = "nobody",
  log = { level = "error" },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "anybody" },
    upstream = "127.0.0.1:%d" },
}
]]

local POLICY = [[
local moongate = require "moongate"
return { auth = function(_, credentials) return moongate.accept { user = credentials.user } end }
]]

-- An upstream that knows LOGIN, AUTHENTICATE with an initial response, and NOOP.
local upstream = {
  line = function(connection, line)
    local tag, verb = line:match "^(%S+) (%a+)"
    if verb == "CAPABILITY" then connection:send "* CAPABILITY IMAP4rev1 SASL-IR\r\n" end
    connection:send(("%s OK %s done\r\n"):format(tag, verb))
  end,
}

describe("one worker", function()
  it("relays 5,000 sessions at a time, each answered", function()
    epoll.allow_descriptors(2 * SESSIONS + 1000)
    local loop = epoll.new()
    local port = loop:listen(upstream, function(connection)
      connection:send "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"
    end)
    local gate = gateway.start { files = { ["moongate.lua"] = CONFIG:format(port),
      ["scripts/anybody.lua"] = POLICY } }
    finally(function()
      loop:stop()
      gate:stop()
    end)

    local clients, logged_in, answered, lost = {}, 0, 0, 0
    local client = {
      line = function(connection, line)
        if line:match "^%* OK" then connection:send "a LOGIN erin moonlight\r\n" end
        if line:match "^a OK" then logged_in = logged_in + 1 end
        if line == "b OK NOOP done" then answered = answered + 1 end
      end,
      closed = function() lost = lost + 1 end,
    }
    while #clients < SESSIONS do
      for _ = 1, AT_ONCE do clients[#clients + 1] = loop:connect(gate.ports.imap, client) end
      loop:run(function() return logged_in + lost == #clients end, SECONDS)
    end
    assert.equal(0, lost, gate:log())
    assert.equal(SESSIONS, logged_in)

    for _, connection in ipairs(clients) do connection:send "b NOOP\r\n" end
    loop:run(function() return answered + lost == SESSIONS end, SECONDS)
    assert.equal(SESSIONS, answered)
  end)
end)
