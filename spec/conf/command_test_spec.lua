--- `moongate test`: what it runs, how strictly, and what it tells.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"

local POLICY = [[
local moongate = require "moongate"

local function refuse()
  return moongate.reject()
end

return {
  auth = function(session, credentials)
    if credentials.user == "bad" then
      return refuse()
    elseif credentials.user == "never" then
      return moongate.tempfail()
    end
    return moongate.accept { upstream = "10.0.0.1" }
  end,
}
]]

local SPEC = [[
local spec = require "moongate.spec"

it("lets users in, but one", function()
  local gw = spec.policy { "scripts/mine" }
  assert.decision(gw:session():login("alice", "x")).is_accept()
  assert.decision(gw:session():login("bad", "x")).is_reject()
end)
]]

describe("moongate test", function()
  local top, binary

  --- The first line that a command says.
  local function said(command)
    local pipe = io.popen(command)
    local line = pipe:read "*l"
    pipe:close()
    return line
  end

  local function write(name, text)
    local file = assert(io.open(top .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  local function read(name)
    local file = assert(io.open(top .. "/" .. name))
    local text = file:read "*a"
    file:close()
    return text
  end

  --- Its exit status and all that it said, run in the author's folder.
  local function test(...)
    return child.run { directory = top, binary, "test", ... }
  end

  setup(function()
    top = said "mktemp -d /tmp/moongate-project.XXXXXX"
    binary = said("realpath " .. gateway.binary())
    os.execute(("mkdir -p %s/scripts %s/spec"):format(top, top))
    write("scripts/mine.lua", POLICY)
    write("spec/mine_spec.lua", SPEC)
  end)
  teardown(function() os.execute("rm -rf " .. top) end)

  it("runs the specs in spec/ and passes if they do", function()
    local code, output = test()
    assert.equal(0, code, output)
    assert.matches("1 success", output, 1, true)
  end)

  it("takes files and busted's options, and fails if one does", function()
    write("other.lua", SPEC:gsub("is_reject", "is_accept"))
    local code, output = test("-o", "TAP", "other.lua")
    assert.equal(1, code, output)
    assert.matches("not ok 1", output, 1, true)
    assert.matches("Expected the decision\n# { kind = \"accept\" }", output, 1, true)
  end)

  it("takes the defaults of .busted", function()
    write(".busted", "return { default = { output = \"TAP\" } }")
    local code, output = test()
    os.remove(top .. "/.busted")
    assert.equal(0, code, output)
    assert.matches("^ok 1 ", output)
  end)

  for title, case in pairs {
    ["a global that nobody defined"] = { "it('x', function() asert.equal(1, 1) end)",
      "other.lua:1: undefined global \"asert\"" },
    ["one at the top"] = { "\nlocal x = nothing", "other.lua:2: undefined global \"nothing\"" },
    ["the assignment of one"] = { "it('x', function() found = 1 end)",
      "other.lua:1: assignment to global \"found\": declare it local" },
  } do
    it("refuses " .. title, function()
      write("other.lua", case[1])
      local code, output = test "other.lua"
      assert.equal(1, code, output)
      assert.matches(case[2], output, 1, true)
    end)
  end

  it("counts the lines of policies that ran", function()
    local code, output = test("--coverage", "found.lcov")
    assert.equal(0, code, output)
    assert.matches("90.9 %     10 of    11  scripts/mine.lua", output, 1, true)
    assert.matches("90.9 %     10 of    11  in all", output, 1, true)
    local lcov = read "found.lcov"
    assert.matches("SF:" .. top .. "/scripts/mine.lua\n", lcov, 1, true)
    for _, line in ipairs { "DA:4,1", "DA:9,2", "DA:10,1", "DA:12,0", "DA:14,1", "LH:10",
      "LF:11" } do
      assert.matches("\n" .. line .. "\n", lcov, 1, true)
    end
  end)

  it("tells how, and what is wrong with its options", function()
    local code, output = test "--help"
    assert.equal(0, code)
    assert.matches("^Usage: moongate test", output)
    code, output = test "--coverage"
    assert.equal(2, code)
    assert.matches("--coverage: the name of a file is missing", output, 1, true)
    code, output = test "--no-such-option"
    assert.equal(1, code)
    assert.matches("no-such-option", output, 1, true)
  end)

  it("says what is missing where busted is not installed", function()
    local code, output = child.run { "/usr/bin/env", "LUA_PATH=/nowhere/?.lua", gateway.binary(),
      "test" }
    assert.equal(1, code)
    assert.equal("moongate: busted is not installed (Debian: lua-busted)\n", output)
  end)
end)
