--- `cmake --install` puts the program and what it ships where it finds them, wherever that is.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local stdlib = require "posix.stdlib"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  settings = { static = { upstream = "127.0.0.1:143" } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "static" },
}
]]

describe("an installed gateway", function()
  local prefix

  setup(function()
    prefix = assert(stdlib.mkdtemp "/tmp/moongate-install-XXXXXX")
    local code, output = child.run { "cmake", "--install", gateway.binary():match "^(.*)/",
      "--prefix", prefix }
    assert.equal(0, code, output)
    local file = assert(io.open(prefix .. "/moongate.lua", "w"))
    file:write(CONFIG)
    file:close()
  end)

  teardown(function() os.execute("rm -rf '" .. prefix .. "'") end)

  local function installed(...)
    return child.run { prefix .. "/bin/moongate", directory = "/", ... }
  end

  it("finds its library and its policies from anywhere", function()
    local code, output = installed("check", "-c", prefix .. "/moongate.lua")
    assert.equal(0, code, output)
    assert.matches("nothing is wrong", output, 1, true)
  end)

  it("serves", function()
    local g = child.start { prefix .. "/bin/moongate", "run", "-c", prefix .. "/moongate.lua",
      directory = "/", log = prefix .. "/log" }
    finally(function() g:stop() end)
    g:expect "ready (imap=127%.0%.0%.1:%d+)"
    assert.equal(0, (g:stop()))
  end)

  it("has its own copies: it needs no checkout", function()
    local policy = assert(io.open(prefix .. "/share/moongate/scripts/static.lua"))
    policy:close()
    assert.truthy(os.remove(prefix .. "/share/moongate/scripts/static.lua"))
    local code, output = installed("check", "-c", prefix .. "/moongate.lua")
    assert.equal(1, code)
    assert.matches(prefix .. "/share/moongate/scripts", output, 1, true)
  end)

  it("comes without what developers type", function()
    assert.is_nil(io.open(prefix .. "/share/moongate/scripts/dev/start"))
  end)

  it("comes with a configuration to begin with, and a unit for systemd", function()
    for _, name in ipairs { "moongate.lua", "moongate.service", "README.md" } do
      local file = assert(io.open(prefix .. "/share/moongate/conf/" .. name))
      file:close()
    end
  end)
end)
