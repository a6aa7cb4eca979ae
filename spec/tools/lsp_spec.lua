local api = require "moongate.describe"
local child = require "spec.support.child"
local cjson = require "cjson"
local gateway = require "spec.support.gateway"
local stdlib = require "posix.stdlib"

local function lsp(...)
  return child.run { gateway.binary(), "lsp", ... }
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local folder

setup(function()
  folder = stdlib.mkdtemp "/tmp/moongate-lsp-XXXXXX"
  local code, output = lsp("-o", folder .. "/new one")
  assert.equal(0, code, output)
end)

teardown(function() os.execute("rm -rf " .. folder) end)

--- Every definition file: name of the module to text.
local function definitions()
  local found = {}
  for _, module in ipairs(api.modules) do
    found[module.name] = read(("%s/new one/library/%s.d.lua")
      :format(folder, module.name:gsub("%.", "/")))
  end
  return found
end

--- What lua-language-server's grammar has, as far as it is used here.
local TAGS = { meta = true, alias = true, class = true, field = true, param = true,
  ["return"] = true, overload = true, async = true, since = true }

describe("moongate lsp", function()
  it("writes settings that point to the library", function()
    local settings = cjson.decode(read(folder .. "/new one/.luarc.json"))
    assert.equal("LuaJIT", settings["runtime.version"])
    assert.same({ "library" }, settings["workspace.library"])
    assert.equal("disable", settings["runtime.builtin"].io)
  end)

  it("writes a definition file for each module, of Lua and known tags", function()
    for name, text in pairs(definitions()) do
      assert.matches("^%-%-%-@meta " .. name:gsub("%p", "%%%0") .. "\n", text)
      assert(loadstring(text, name))
      for line in text:gmatch "[^\n]+" do
        local tag = line:match "^%-%-%-@(%a+)"
        assert.is_true(not tag or TAGS[tag], line)
      end
    end
  end)

  it("declares every class and alias that it uses, once", function()
    local declared, used = {}, {}
    for _, text in pairs(definitions()) do
      for name in text:gmatch "%-%-%-@class [()exact ]*(moongate[%w_.]*)" do
        assert.is_nil(declared[name], name)
        declared[name] = true
      end
      for name in text:gmatch "%-%-%-@alias (moongate[%w_.]*)" do declared[name] = true end
      for line in text:gmatch "%-%-%-@[fpro][^\n]*" do
        for name in line:gmatch "moongate%.%u[%w_]*" do used[name] = true end
      end
    end
    for name in pairs(used) do assert.is_true(declared[name], name) end
    assert.is_true(used["moongate.Session"])
  end)

  it("gives policies their hooks, decisions their fields, objects theirs", function()
    local text = definitions()["moongate"]
    for _, line in ipairs {
      "---@class (exact) moongate.Policy",
      "---@field auth? async fun(session: moongate.Session, credentials: moongate.Credentials): "
        .. "moongate.Decision?",
      "---@field mechanisms? fun(session: moongate.Session): moongate.Mechanism[]?",
      "---@class (exact) moongate.RejectOptions", "---@field delay? number",
      "---@param options? moongate.RejectOptions", "function M.reject(options) end",
      "---@field tls moongate.Session.tls?", "function Secret:equals(other) end",
      "---@since 0.1",
    } do
      assert.matches(line, text, 1, true)
    end
    text = definitions()["moongate.http"]
    assert.matches("---@param options? moongate.http.get.options", text, 1, true)
    assert.matches("---@return moongate.HttpResponse?\n---@return moongate.Failure?", text, 1, true)
    text = definitions()["moongate.config"]
    assert.matches("---@field hook_timeout? number|string", text, 1, true)
    assert.matches("---@field tls? moongate.TlsOptions", text, 1, true)
  end)

  it("fails where it can't write", function()
    write(folder .. "/file", "")
    assert.equal(1, (lsp("-o", folder .. "/file/x")))
  end)

  it("has help, and minds its words", function()
    local code, output = lsp "--help"
    assert.equal(0, code)
    assert.matches("^Usage: moongate lsp", output)
    assert.equal(2, (lsp "x"))
    assert.equal(2, (lsp "--nonsense"))
  end)
end)

describe("moongate lsp --luacheck", function()
  local site

  --- What luacheck says in a site's folder, which has the printed text as its .luacheckrc.
  local function luacheck()
    return child.run { "sh", "-c", "cd \"$0\" && luacheck --no-color --codes .", site }
  end

  before_each(function()
    site = stdlib.mkdtemp(folder .. "/site-XXXXXX")
    local code, text = lsp "--luacheck"
    assert.equal(0, code)
    write(site .. "/.luacheckrc", text)
  end)

  it("suits the shipped policies and configurations", function()
    os.execute(("cp -r scripts conf %s && rm -r %s/scripts/dev"):format(site, site))
    local code, output = luacheck()
    assert.equal(0, code, output)
    assert.matches("in %d+ files", output)
  end)

  it("finds what a policy has not, and what a configuration has not", function()
    write(site .. "/policy.lua", "return { io.open, os.exit, string.dump, os.time }\n")
    write(site .. "/moongate.lua", "return { os.time, string.upper, math.random }\n")
    local code, output = luacheck()
    assert.equal(1, code)
    local found = {}
    for file, column in output:gmatch "(%w+)%.lua:1:(%d+)" do
      found[#found + 1] = file .. " " .. column
    end
    table.sort(found)
    assert.same({ "moongate 10", "moongate 33", "policy 10", "policy 19", "policy 28" }, found)
  end)
end)

describe("moongate lsp --json-schema", function()
  local schema
  setup(function()
    local code, text = lsp "--json-schema"
    assert.equal(0, code)
    schema = cjson.decode(text)
    assert.equal(text, select(2, lsp "--json-schema"))
  end)

  it("has every key, with its limits and its default", function()
    for _, section in ipairs(api.sections()) do
      local object = section[1] == "gateway" and schema or schema["$defs"][section[1]]
      assert.is_false(object.additionalProperties)
      for _, field in ipairs(section.fields) do
        assert.equal(field.doc, object.properties[field[1]].description)
      end
    end
    local limits = schema["$defs"].limits.properties
    assert.same({ 1, 1000000, 3 },
      { limits.attempts.minimum, limits.attempts.maximum, limits.attempts.default })
    assert.equal(0.05, limits.hook_timeout.anyOf[1].minimum)
  end)

  it("leads to sections that are there", function()
    local count = 0
    local function walk(value)
      for key, inner in pairs(value) do
        if key == "$ref" then
          count = count + 1
          assert.is_table(schema["$defs"][inner:match "^#/%$defs/(.+)$"], inner)
        elseif type(inner) == "table" then
          walk(inner)
        end
      end
    end
    walk(schema)
    assert.is_true(count >= 8)
    assert.same({ "name", "address", "policy" }, (function()
      local required = schema["$defs"].listen.required
      table.sort(required, function(a, b) return #a == 4 and #b ~= 4 or #a ~= 4 and a < b end)
      return required
    end)())
  end)
end)
