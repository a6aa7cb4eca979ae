--- What a worker counts is seen through the control socket, and outlives a reload.
local client = require "spec.support.client"
local control = require "spec.support.control"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  auth = function(session, credentials)
    session:count("asked", { user = credentials.user })
    if credentials.user == "broken" then error "on purpose" end
    if not credentials.password:equals(credentials.password:reveal()) then return nil end
    return moongate.accept { upstream = "%s" }
  end,
}
]]

describe("counters", function()
  it("count sessions and hooks from one generation to the next", function()
    local path, section = control.place()
    local up = upstream.start { script = upstream.imap() }
    local gw = site.start { listen = { imap = { protocol = "imap" } }, more = section,
      policy = POLICY:format(up.address) }
    finally(function()
      client.discard_all()
      up:stop()
      gw:stop()
      control.remove(path)
    end)

    local function login(user, expected)
      local c = client.connect(gw.ports.imap)
      c:expect "^%* OK"
      c:send_line(("a LOGIN %s secret"):format(user)):expect_until(expected)
      c:close()
      gw:session_of(c)
    end
    local function count(name)
      for _, one in ipairs(control.get(path, "/v1/counters").counters) do
        if one.name == name then return one.value end
      end
    end

    login("ann", "^a OK")
    login("broken", "^a NO %[UNAVAILABLE%]")
    assert.equal(2, gw:reload())
    login("ann", "^a OK")
    for name, value in pairs {
      ['sessions_total{protocol="imap"}'] = 3,
      ['sessions_ended_total{end="client_closed"}'] = 3,
      ['hook_calls_total{hook="auth"}'] = 3,
      ['hook_errors_total{hook="auth",policy="policy"}'] = 1,
      ['decisions_total{hook="auth",kind="accept"}'] = 2,
      ['secret_reveals_total{policy="policy"}'] = 2,
      ['asked{user="ann"}'] = 2,
    } do
      assert.equal(value, count(name), name)
    end
    assert.is_true(count "lua_memory_bytes" > 1e5)
  end)
end)
