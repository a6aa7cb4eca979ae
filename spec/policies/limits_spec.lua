--- scripts/limits.lua: how much one address may try.
local spec = require "moongate.spec"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  shared = { %s = "1m" },
  settings = { limits = { %s } },
  c.listen "spec" { protocol = "imap", policy = { "limits", "p" }, address = "127.0.0.1:0",
    upstream = "10.0.0.1" },
}
]]

local ACCEPT = [[
local moongate = require "moongate"
return { auth = function() return moongate.accept {} end }
]]

describe("limits", function()
  local function gateway(settings, dict)
    return spec.open { config = CONFIG:format(dict or "limits", settings),
      files = { ["scripts/p.lua"] = ACCEPT } }
  end

  local function login(gw, ip)
    return gw:session { client = ip or "203.0.113.9" }:login("ann", "secret")
  end

  it("lets an address try so often, and then at a rate", function()
    local gw = gateway 'rate = "6/m", burst = 2'
    assert.decision(login(gw)).is_accept()
    assert.decision(login(gw)).is_accept()
    assert.decision(login(gw)).is_reject()
    assert.equal("rate-limited", login(gw).reason)
    assert.decision(login(gw, "203.0.113.10")).is_accept()
    gw.clock:advance(10)
    assert.decision(login(gw)).is_accept()
    assert.decision(login(gw)).is_reject()
  end)

  it("counts sessions only where it is told to", function()
    local gw = gateway 'sessions = 1'
    local first = gw:session { client = "203.0.113.9" }
    assert.decision(first:login("ann", "secret")).is_accept()
    assert.equal("too-many-sessions", login(gw).reason)
    assert.decision(login(gw, "203.0.113.10")).is_accept()
    first = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.decision(login(gw)).is_accept()
  end)

  it("needs its table, which may have another name", function()
    local _, errors = gateway("", "other")
    assert.matches("limits", errors)
    assert.decision(login(gateway('dict = "other"', "other"))).is_accept()
  end)
end)
