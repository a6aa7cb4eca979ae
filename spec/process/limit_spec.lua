--- Limits hold for all workers together: logins at the same time, and a worker that is killed.
local client = require "spec.support.client"
local crowd = require "spec.support.crowd"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local upstream = require "spec.support.upstream"

local WORKERS, LOGINS, PLACES, BURST = 4, 500, 20, 30

local CONFIG = ([[
local c = require "moongate.config"
return c.gateway {
  workers = %d, shared = { limits = "1m" },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "limits" },
}]]):format(WORKERS)

describe("a limit", function()
  local up, gw

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = gateway.start { files = { ["moongate.lua"] = CONFIG,
      ["scripts/limits.lua"] = crowd.policy {
        burst = BURST, places = PLACES, upstream = up.address } } }
  end)
  after_each(client.discard_all)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  local function log_in(user, count) return crowd.log_in(user, count, { gw }) end

  it("of places admits exactly so many of 500 parallel logins", function()
    local admitted, refused = log_in("ann", LOGINS)
    assert.same({ PLACES, LOGINS - PLACES }, { #admitted, refused })
  end)

  it("of a rate admits exactly the burst", function()
    local admitted, refused = log_in("many", LOGINS)
    assert.same({ BURST, LOGINS - BURST }, { #admitted, refused })
  end)

  it("has the places of a worker back that was killed", function()
    local admitted = log_in("bob", 2 * PLACES)
    assert.equal(PLACES, #admitted)
    for _, pid in ipairs(processes.children(gw.process.pid)) do signal.kill(pid, 9) end
    -- Never more than all places, and all of them once each worker's have been given back.
    processes.eventually(function()
      local fine, again = pcall(log_in, "bob", 2 * PLACES)
      client.discard_all()
      if fine then assert.is_true(#again <= PLACES) end
      return fine and #again == PLACES
    end, 30)
  end)
end)
