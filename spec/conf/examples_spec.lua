--- The example configurations are right, as they lie there.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"

describe("conf/examples", function()
  local found = 0
  -- oauth.lua needs certificates: oauth_example_spec.lua starts it with some.
  local with_configuration = "grep -l 'c.gateway' conf/*.lua conf/examples/*.lua"
    .. " | grep -v /oauth.lua"
  for path in io.popen(with_configuration):lines() do
    found = found + 1
    it(path .. " passes `moongate check`", function()
      local code, output = child.run { gateway.binary(), "check", "-c", path }
      assert.equal(0, code, output)
    end)
  end

  for path in io.popen "ls conf/env/*.lua":lines() do
    found = found + 1
    it(path .. " can be laid over conf/moongate.lua", function()
      local code, output = child.run { gateway.binary(), "check", "-c", "conf/moongate.lua",
        "--env", path:match "([%w_]+)%.lua$" }
      assert.equal(0, code, output)
    end)
  end

  it("has the quickstart", function() assert.is_true(found >= 1) end)
end)
