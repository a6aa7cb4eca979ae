--- Limits hold for all workers together: logins at the same time, and a worker that is killed.
local client = require "spec.support.client"
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

--- "many" takes a token of a bucket that gets hardly any, others a place.
local POLICY = [[
local moongate, limit = require "moongate", require "moongate.limit"
local bucket = limit.bucket { dict = "limits", rate = "1/d", burst = %d }
local places = limit.concurrent { dict = "limits", limit = %d }

return {
  auth = function(session, credentials)
    local taken, err
    if credentials.user == "many" then
      taken, err = bucket:take(credentials.user)
    else
      taken, err = places:take(credentials.user, session)
    end
    if taken == nil then return moongate.tempfail { log = err } end
    if not taken then return moongate.reject { reason = "rate-limited", text = "no more" } end
    return moongate.accept { upstream = %q }
  end,
}
]]

describe("a limit", function()
  local up, gw

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = gateway.start { files = { ["moongate.lua"] = CONFIG,
      ["scripts/limits.lua"] = POLICY:format(BURST, PLACES, up.address) } }
  end)
  after_each(client.discard_all)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  --- Logs in `count` times at once; the connections that were let in, and how many were not.
  local function crowd(user, count)
    local all, admitted, refused = {}, {}, 0
    for i = 1, count do all[i] = client.connect(gw.ports.imap) end
    for _, c in ipairs(all) do c:expect "^%* OK" end
    for _, c in ipairs(all) do c:send_line("a LOGIN " .. user .. " x") end
    for _, c in ipairs(all) do
      local answer = c:expect_until("^(a .*)$", 30)
      if answer:match "^a OK" then
        table.insert(admitted, c)
      else
        assert.equal("a NO [LIMIT] no more", answer)
        refused = refused + 1
      end
    end
    return admitted, refused
  end

  it("of places admits exactly so many of 500 parallel logins", function()
    local admitted, refused = crowd("ann", LOGINS)
    assert.same({ PLACES, LOGINS - PLACES }, { #admitted, refused })
  end)

  it("of a rate admits exactly the burst", function()
    local admitted, refused = crowd("many", LOGINS)
    assert.same({ BURST, LOGINS - BURST }, { #admitted, refused })
  end)

  it("has the places of a worker back that was killed", function()
    local admitted = crowd("bob", 2 * PLACES)
    assert.equal(PLACES, #admitted)
    for _, pid in ipairs(processes.children(gw.process.pid)) do signal.kill(pid, 9) end
    -- Never more than all places, and all of them once each worker's have been given back.
    processes.eventually(function()
      local fine, again = pcall(crowd, "bob", 2 * PLACES)
      client.discard_all()
      if fine then assert.is_true(#again <= PLACES) end
      return fine and #again == PLACES
    end, 30)
  end)
end)
