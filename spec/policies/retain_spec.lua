--- A password that a policy keeps for a while after its decision.
local client = require "spec.support.client"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

-- Looks at it when the decision is long taken: while its time runs, or when that is over.
local POLICY = [[
local timer = require "moongate.timer"
return {
  auth = function(session, credentials)
    local briefly = credentials.user == "briefly"
    local kept = credentials:retain(briefly and 0.2 or 60)
    local own = credentials.password
    local function state(secret)
      return tostring(select(2, pcall(secret.equals, secret, "secret")))
    end
    timer.after(briefly and 0.6 or 0.3, "look", function()
      moongate.log("info", ("kept: %%s; own: %%s"):format(state(kept), state(own)))
    end)
    return moongate.accept { upstream = %q }
  end,
}
]]

describe("a password that is retained", function()
  local up, gw

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = site.start { listen = { imap = { protocol = "imap" } },
      policy = POLICY:format(up.address) }
  end)

  teardown(function()
    if up then up:stop() end
    if gw then gw:stop() end
  end)

  after_each(client.discard_all)

  local function log_in(user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s secret"):format(user)):expect_until "^a OK"
  end

  it("outlives the decision; any other does not", function()
    log_in "long"
    assert.equal("true", gw:expect_log "kept: (%a+); own: [^\n]*this secret was wiped\n")
  end)

  it("is wiped when its time is over", function()
    log_in "briefly"
    gw:expect_log "(kept: [^\n]*this secret was wiped; own: [^\n]*this secret was wiped\n)"
  end)
end)
