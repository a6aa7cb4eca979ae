--- A thousand logins wait for an HTTP server in one worker, and nobody else waits for them.
local epoll = require "spec.support.epoll"
local gateway = require "spec.support.gateway"
local socket = require "socket"

local WAITING, AT_ONCE, OTHERS, SECONDS = 1000, 200, 100, 60

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "policy" },
    upstream = "127.0.0.1:%d", limits = { login_timeout = 120, hook_timeout = 110 } },
}
]]

local POLICY = [[
local moongate = require "moongate"
local http = require "moongate.http"
return { auth = function(_, credentials)
  if credentials.user == "patient" then
    assert(http.get("http://127.0.0.1:%d/", { timeout = 100 }).status == 200)
  end
  return moongate.accept()
end }
]]

-- Knows LOGIN and AUTHENTICATE with an initial response.
local upstream = {
  line = function(connection, line)
    local tag, verb = line:match "^(%S+) (%a+)"
    local told = verb == "CAPABILITY" and "* CAPABILITY IMAP4rev1 SASL-IR\r\n" or ""
    connection:send(("%s%s OK %s done\r\n"):format(told, tag, verb))
  end,
}

local function greet_as_imap(connection)
  connection:send "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"
end

--- A client that logs in as `user` and then calls `done`.
local function client(user, done)
  return { line = function(connection, line)
    if line:match "^%* OK" then connection:send(("a LOGIN %s moonlight\r\n"):format(user)) end
    if line:match "^a " then done(line) end
  end }
end

describe("one worker", function()
  it("has a thousand hooks wait at a time, and serves others meanwhile", function()
    epoll.allow_descriptors(4 * WAITING + 1000)
    local loop = epoll.new()
    local questions = {}
    local http = loop:listen({ line = function(connection, line)
      if line == "" then questions[#questions + 1] = connection end
    end }, function() end)
    local gate = gateway.start { files = {
      ["moongate.lua"] = CONFIG:format(loop:listen(upstream, greet_as_imap)),
      ["scripts/policy.lua"] = POLICY:format(http),
    } }
    finally(function()
      loop:stop()
      gate:stop()
    end)

    local patient, refused = 0, nil
    local waiting = client("patient", function(line)
      patient = patient + 1
      if not line:match "^a OK" then refused = line end
    end)
    for _ = 1, WAITING / AT_ONCE do
      local goal = #questions + AT_ONCE
      for _ = 1, AT_ONCE do loop:connect(gate.ports.imap, waiting) end
      loop:run(function() return #questions >= goal or refused end, SECONDS)
    end
    assert.equal(WAITING, #questions) -- none has been answered
    assert.equal(0, patient)

    local times = {}
    for i = 1, OTHERS do
      local began = socket.gettime()
      loop:connect(gate.ports.imap, client("other", function(line)
        assert.matches("^a OK", line)
        times[i] = socket.gettime() - began
      end))
      loop:run(function() return times[i] end, SECONDS)
    end
    assert.equal(0, patient)
    table.sort(times)
    print(("others logged in within %.1f ms (median), %.1f ms (p99)"):format(
      times[OTHERS / 2] * 1000, times[OTHERS * 0.99] * 1000))

    for _, connection in ipairs(questions) do
      connection:send "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    end
    loop:run(function() return patient == WAITING end, SECONDS)
    assert.is_nil(refused)
  end)

  it("refuses for the moment what would be too many hooks", function()
    epoll.allow_descriptors(8 * WAITING)
    local loop = epoll.new()
    local questions, failed = 0, 0
    local http = loop:listen({ line = function(_, line)
      if line == "" then questions = questions + 1 end
    end }, function() end)
    local gate = gateway.start { files = {
      ["moongate.lua"] = CONFIG:format(1),
      ["scripts/policy.lua"] = POLICY:format(http),
    } }
    finally(function()
      loop:stop()
      gate:stop()
    end)

    local waiting = client("patient", function(line)
      if line:match "^a NO %[UNAVAILABLE%] " then failed = failed + 1 end
    end)
    for _ = 1, 2100 / AT_ONCE + 1 do
      local goal = questions + failed + AT_ONCE
      for _ = 1, AT_ONCE do loop:connect(gate.ports.imap, waiting) end
      loop:run(function() return questions + failed >= goal end, SECONDS)
    end
    assert.equal(2000, questions)
    assert.equal(200, failed)
    assert.matches("2000 hooks run already", gate:log(), 1, true)
  end)
end)
