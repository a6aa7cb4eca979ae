--- A relayed session holds nothing in Lua: no coroutine, no table.
local epoll = require "spec.support.epoll"
local gateway = require "spec.support.gateway"

local FEW, MANY, AT_ONCE, SECONDS = 100, 1100, 100, 60
local SMALLEST = 56 -- bytes: an empty table and what refers to it

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  log = { level = "debug" },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "policy" },
    upstream = "127.0.0.1:%d" },
}
]]

local POLICY = [[
local moongate = require "moongate"
return {
  connect = function() moongate.sleep(0) end,
  auth = function(session, credentials)
    session.vars.seen = { credentials.user, true }
    if credentials.user ~= "littering" then return moongate.accept() end
    session:log("info", "litter of " .. credentials.password:reveal())
    for _ = 1, 50 do -- in small pieces, between which the loop is idle
      for _ = 1, 100 do local _ = { {} } end
      moongate.sleep(0)
    end
    return moongate.reject { close = true }
  end,
  spliced = function(session) session.vars.spliced = true end,
}
]]

local upstream = {
  line = function(connection, line)
    local tag, verb = line:match "^(%S+) (%a+)"
    local told = verb == "CAPABILITY" and "* CAPABILITY IMAP4rev1 SASL-IR\r\n" or ""
    connection:send(("%s%s OK %s done\r\n"):format(told, tag, verb))
  end,
}

describe("a relayed session", function()
  it("costs no memory in Lua", function()
    epoll.allow_descriptors(4 * MANY)
    local loop = epoll.new()
    local port = loop:listen(upstream, function(connection)
      connection:send "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"
    end)
    local gate = gateway.start { files = { ["moongate.lua"] = CONFIG:format(port),
      ["scripts/policy.lua"] = POLICY } }
    finally(function()
      loop:stop()
      gate:stop()
    end)

    local relayed, litters, refused = 0, 0, 0
    local client = { line = function(connection, line)
      if line:match "^%* OK" then connection:send "a LOGIN ann moonlight\r\n" end
      if line:match "^a OK" then relayed = relayed + 1 end
    end }
    local function relay(count)
      while relayed < count do
        local goal = relayed + AT_ONCE
        for _ = 1, AT_ONCE do loop:connect(gate.ports.imap, client) end
        loop:run(function() return relayed == goal end, SECONDS)
      end
    end

    --- Bytes that are alive, once what is not has been collected.
    local function alive()
      local least = math.huge
      for _ = 1, 8 do -- one that had begun before the litter was made leaves some
        litters = litters + 1
        loop:connect(gate.ports.imap, { line = function(connection, line)
          if line:match "^%* OK" then
            connection:send(("a LOGIN littering %d\r\n"):format(litters))
          end
          if line:match "^a NO" then refused = refused + 1 end
        end })
        loop:run(function() return refused == litters end, SECONDS)
        local bytes = gate.process:expect(("litter of %d\"?\n.-lua: (%%d+) bytes are left")
          :format(litters), SECONDS)
        least = math.min(least, tonumber(bytes))
      end
      return least
    end

    relay(FEW)
    local before = alive()
    relay(MANY)
    local more = alive() - before
    assert.is_true(more < (MANY - FEW) * SMALLEST / 2, ("%d bytes more"):format(more))
  end)
end)
