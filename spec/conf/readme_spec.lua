--- The Lua in the READMEs that is marked with a file name is right: `moongate check` says so.
--
-- A block that begins with "```lua moongate.lua" is a configuration, one with
-- "```lua env/NAME.lua" is laid over it, one with "```lua scripts/NAME.lua" is a policy, one with
-- "```lua spec/NAME.lua" a spec; those of one README lie in one folder. Policies without a
-- configuration get one that does nothing but name them.
local child = require "spec.support.child"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"
local upstream = require "spec.support.upstream"

local CONFIGURATION = [[
local c = require "moongate.config"
return c.gateway {
  shared = { limits = "1m" },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { %s },
    upstream = "127.0.0.1:143" },
}
]]

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  stat.mkdir(path:match "^(.*)/", 493)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- The marked blocks of a README: file name to text, and the line where each begins.
local function blocks(path)
  local files, name, lines, number = {}, nil, nil, 0
  for line in (read(path) .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    if name and line:match "^```" then
      files[#files + 1] = { name = name, text = table.concat(lines, "\n") .. "\n",
        line = number - #lines }
      name = nil
    elseif name then
      lines[#lines + 1] = line
    else
      name, lines = line:match "^```lua ([%w_/]+%.lua)$", {}
    end
  end
  return files
end

--- Groups a README's blocks into sets that `moongate check` can look at.
local function sets(path)
  local found, policies = {}, {}
  for _, block in ipairs(blocks(path)) do
    if block.name == "moongate.lua" then
      found[#found + 1] = { line = block.line, ["moongate.lua"] = block.text }
    elseif block.name:match "^env/" then -- is laid over the configuration in front of it
      found[#found][block.name] = block.text
    else
      policies[block.name] = block
    end
  end
  if #found == 0 and next(policies) then
    local names = {}
    for name in pairs(policies) do
      names[#names + 1] = ("%q"):format(name:match "([%w_]+)%.lua$")
    end
    found[1] = { line = select(2, next(policies)).line,
      ["moongate.lua"] = CONFIGURATION:format(table.concat(names, ", ")) }
  end
  for _, set in ipairs(found) do
    for name, block in pairs(policies) do set[name] = block.text end
  end
  return found
end

--- A folder with the files of a set, as long as the test runs.
local function unpacked(set)
  local folder = stdlib.mkdtemp "/tmp/moongate-readme-XXXXXX"
  finally(function() os.execute("rm -rf " .. folder) end)
  for name, text in pairs(set) do
    if name ~= "line" then write(folder .. "/" .. name, text) end
  end
  return folder
end

local function check(set, ...)
  local folder = unpacked(set)
  return child.run { gateway.binary(), "check", "-c", folder .. "/moongate.lua",
    ... }
end

local READMES = { "README.md", "core/README.md", "core/proto/README.md", "lua/README.md",
  "lua/REFERENCE.md", "lua/api/README.md", "scripts/README.md", "conf/README.md", "spec/README.md" }

describe("the READMEs", function()
  it("are all there, and the first shows a configuration and a policy", function()
    for _, path in ipairs(READMES) do assert.is_true(#read(path) > 100, path) end
    local names = {}
    for _, block in ipairs(blocks "README.md") do names[block.name] = true end
    assert.same({ ["moongate.lua"] = true, ["scripts/users.lua"] = true,
      ["spec/users_spec.lua"] = true }, names)
  end)

  for _, path in ipairs(READMES) do
    local exists = io.open(path)
    if exists then exists:close() end
    for _, set in ipairs(exists and sets(path) or {}) do
      it(("%s:%d: is a configuration without mistakes"):format(path, set.line), function()
        local code, output = check(set)
        assert.equal(0, code, output)
        for name in pairs(set) do
          local environment = name:match "^env/(%w+)%.lua$"
          if environment then
            code, output = check(set, "--env", environment)
            assert.equal(0, code, output)
          end
        end
      end)
    end
  end

  it("begin with a policy that lets in whom it names, and nobody else", function()
    local up = upstream.start { script = upstream.imap() }
    local files = {}
    for _, block in ipairs(blocks "README.md") do files[block.name] = block.text end
    local function set(name, text, value)
      local at, stop = files[name]:find(text, 1, true)
      files[name] = files[name]:sub(1, at - 1) .. value .. files[name]:sub(stop + 1)
    end
    set("moongate.lua", "[::]:143", "127.0.0.1:0")
    set("scripts/users.lua", "10.0.0.5:143", up.address)
    local gw = gateway.start { files = files }
    finally(function()
      client.discard_all()
      up:stop()
      gw:stop()
    end)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN erin@example.org sunlight"):expect "^a NO %[AUTHENTICATIONFAILED%]"
    gw:expect_log 'refused user="erin@example.org"'
    c:send_line("b LOGIN erin@example.org moonlight"):expect_until "^b OK"
    assert.same({ "erin@example.org", "moonlight" }, { up:peer(1).user, up:peer(1).password })
  end)

  it("show what the commands say of that policy", function()
    local folder = unpacked(sets("README.md")[1])
    local binary = gateway.binary()
    if binary:sub(1, 1) ~= "/" then binary = unistd.getcwd() .. "/" .. binary end
    local function plain(text) return (text:gsub("%d+%.%d ms", "N ms")) end
    local count = 0
    local shown = read("README.md"):match "\n```\n(%$ moongate check.-)\n```\n"
    for line, expected in (shown .. "\n"):gmatch "%$ ([^\n]*)\n([^$]*)" do
      if line:match "^moongate reload" then break end
      local _, output = child.run { "sh", "-c", "moongate() { \"$0\" \"$@\"; }\n" .. line, binary,
        directory = folder }
      for text in expected:gmatch "[^\n]+" do
        assert.truthy(plain(output):find(plain(text), 1, true), output)
        count = count + 1
      end
    end
    assert.equal(5, count)
  end)

  it("would be caught with a mistake in them", function()
    local set = sets("README.md")[1]
    set["moongate.lua"] = set["moongate.lua"]:gsub("protocol = ", "protocl = ")
    local code, output = check(set)
    assert.equal(1, code)
    assert.matches("moongate%.lua:%d+:%d+: error: .*protocl", output)
  end)

  it("link to files that exist", function()
    for _, path in ipairs(READMES) do
      local folder = path:match "^(.*/)" or ""
      for target in read(path):gmatch "%]%(([%w_./-]+)%)" do
        assert(io.open(folder .. target), path .. " links to " .. target)
      end
    end
  end)
end)
