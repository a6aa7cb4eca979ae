local spec = require "moongate.spec"

--- The errors that loading a policy with this text gives, or "".
local function load_errors(text, files)
  local all = { ["scripts/p.lua"] = text }
  for k, v in pairs(files or {}) do all[k] = v end
  local _, errors = spec.open { "p", files = all }
  return errors or ""
end

local function value_of(expression)
  local text = ("local moongate = require \"moongate\"\nreturn { auth = function() "
    .. "return moongate.reject { log = tostring(%s) } end }"):format(expression)
  local d = spec.policy { "p", files = { ["scripts/p.lua"] = text } }:session {}:login("a", "b")
  return d.reason or spec.logged()
end

describe("the environment of policies", function()
  it("has no way out", function()
    for _, name in ipairs { "io", "ffi", "jit", "package", "dofile", "loadfile", "loadstring",
      "module", "setfenv", "getfenv", "newproxy", "gcinfo", "thread" } do
      assert.matches(('scripts/p.lua:1: undefined global "%s"'):format(name),
        load_errors("local x = " .. name), 1, true)
    end
    for _, name in ipairs { "os.execute", "os.exit", "os.remove", "os.rename", "os.tmpname",
      "os.setlocale", "string.dump", "debug.getinfo", "debug.sethook", "debug.getregistry",
      "debug.getupvalue", "(\"\").dump" } do
      assert.equal("nil", value_of(name))
    end
  end)

  it("raises for globals, with file and line", function()
    assert.matches('scripts/p.lua:2: undefined global "foo"',
      load_errors "\nprint(foo)\nreturn {}", 1, true)
    assert.matches('scripts/p.lua:3: assignment to global "foo"',
      load_errors "\n\nfoo = 1\nreturn {}", 1, true)
    assert.matches('assignment to global "print"', load_errors "print = 1 return {}", 1, true)
    assert.matches('assignment to global "f"', load_errors "function f() end return {}", 1, true)
  end)

  it("can't be changed for others", function()
    assert.matches("standard library can't be changed", load_errors "string.upper = nil return {}",
      1, true)
    assert.matches("standard library can't be changed",
      load_errors "function table.x() end return {}", 1, true)
    assert.matches("read-only", load_errors "require('moongate').reject = nil return {}", 1, true)
    assert.equal("false", value_of "getmetatable('')")
    assert.equal("false", value_of "getmetatable(_G)")
  end)

  it("loads text, never bytecode", function()
    assert.equal("3", value_of "load('return 1 + 2')()")
    assert.matches('undefined global "io"', load_errors "load('return io')()", 1, true)
    local bytecode = string.dump(function() return 1 end)
    local escaped = bytecode:gsub(".", function(c) return ("\\%03d"):format(c:byte()) end)
    assert.matches("nil", value_of("load(\"" .. escaped .. "\")"))
    assert.matches("scripts/p.lua", load_errors(bytecode), 1, true)
  end)

  it("stops what LuaJIT could not", function()
    for _, call in ipairs { "find(%s)", "match(%s)", "gmatch(%s)()", "gsub(%s, '')" } do
      local text = "(('a'):rep(60)):" .. call:format "('a-'):rep(30) .. 'b'"
      assert.matches("scripts/p.lua:2: the pattern takes too long", value_of(text), 1, true)
    end
    assert.equal("70000", value_of "(('a'):rep(70000)):find('a', 70000, true)")
    for _, call in ipairs { "sort(t)", "insert(t, 1, 0)", "remove(t, 1)" } do
      assert.matches("scripts/p.lua:2: sort, insert and remove take tables of at most 100,000",
        value_of(("(function(t) for i = 1, 100001 do t[i] = i end table.%s end)({})")
          :format(call)), 1, true)
    end
    assert.equal("a-b", value_of "('a-b'):match('^[%w-]+$')")
    assert.matches("scripts/p.lua:2: bad argument", value_of "string.find({}, 'x')", 1, true)
  end)

  it("has useful pieces", function()
    assert.equal("5", value_of "bit.bor(4, 1)")
    assert.equal("number", value_of "type(os.time())")
    assert.equal("number", value_of "type(collectgarbage 'count')")
    assert.matches("only \"count\"", value_of "collectgarbage()", 1, true)
    assert.equal("handled oops", value_of [[select(2, xpcall(function() error("oops", 0) end,
      function(e) return "handled " .. e end))]])
  end)
end)

describe("require", function()
  local empty = "return {}"

  it("finds files beside the policy, then beside the configuration", function()
    local text = "assert(require 'near' == 'near' and require 'sub.deep' == 'deep' and "
      .. "require 'outer' == 'outer') return {}"
    assert.equal("", load_errors(text, { ["scripts/near.lua"] = "return 'near'",
      ["scripts/sub/deep.lua"] = "return 'deep'", ["outer.lua"] = "return 'outer'" }))
  end)

  it("runs a file once and in the strict environment", function()
    assert.equal("", load_errors("assert(require 'm' == require 'm') return {}",
      { ["scripts/m.lua"] = empty }))
    assert.matches('scripts/m.lua:1: undefined global "io"', load_errors("require 'm'",
      { ["scripts/m.lua"] = "return io" }), 1, true)
  end)

  it("says what is missing and where it looked", function()
    local errors = load_errors "\nrequire 'nowhere'"
    assert.matches('scripts/p.lua:2: module "nowhere" not found', errors, 1, true)
    assert.matches("scripts/nowhere.lua", errors, 1, true)
  end)

  it("stays inside its folders", function()
    for _, name in ipairs { "../x", "/etc/passwd", "a/../../b", "..x", "x..y", "", "a\\0b" } do
      assert.matches("is not a module name", load_errors(("require '%s'"):format(name)), 1, true)
    end
  end)

  it("notices a circle", function()
    assert.matches("requires itself", load_errors("require 'a' return {}", {
      ["scripts/a.lua"] = "require 'b' return {}", ["scripts/b.lua"] = "require 'a' return {}" }),
        1, true)
  end)

  it("lets no module body wait", function()
    assert.matches("scripts/m.lua:1: await in module top level: move it into init()",
      load_errors("require 'm'", { ["scripts/m.lua"] = "local x = require('moongate').sleep(1)" }),
        1, true)
  end)

  it("of a missing module fails in a hook too", function()
    assert.matches("is not in the bundle", value_of "select(2, pcall(require, 'late'))", 1, true)
  end)
end)

describe("a policy file", function()
  it("must return hooks that exist", function()
    assert.matches("must return a table of hooks, not a nil", load_errors "local x = 1", 1, true)
    assert.matches("must return a table of hooks, not a boolean", load_errors "return true", 1,
      true)
    assert.matches('unknown hook "atuh" (did you mean "auth"?)',
      load_errors "return { atuh = function() end }", 1, true)
    assert.matches('hook "auth" is a string, not a function', load_errors "return { auth = 'x' }",
      1, true)
    assert.matches('hook "connect" is a userdata, not a function', load_errors(
      "return { connect = require('moongate.auth_http').new { url = 'http://127.0.0.1/' } }"), 1,
      true)
    assert.matches("hooks have names", load_errors "return { function() end }", 1, true)
  end)

  it("can't hang the start", function()
    assert.matches("CPU budget", load_errors "while true do end", 1, true)
  end)

  it("with a syntax error is told by file and line", function()
    assert.matches("scripts/p.lua:2: ", load_errors "\nlocal = 1", 1, true)
  end)
end)

describe("moongate.settings", function()
  local function settings(description, values)
    local text = ("local moongate = require 'moongate'\nlocal s = moongate.settings('p', %s)\n"
      .. "return { auth = function() local n = 0 for _ in pairs(s) do n = n + 1 end "
      .. "return moongate.reject { log = n .. ' ' .. tostring(s.a) } end }"):format(description)
    local g, errors = spec.open { "p", settings = { p = values },
      files = { ["scripts/p.lua"] = text } }
    return g and g:session {}:login("x", "y").reason or errors
  end

  it("checks, converts and fills in", function()
    assert.equal("1 10", settings("{ a = 'duration' }", { a = "10s" }))
    assert.equal("1 5", settings("{ a = { 'integer', default = 5 } }"))
    assert.equal("2 nil", settings("{ values = 'address' }", { x = "h:1", y = "h:2" }))
    assert.equal("1 7", settings("nil", { a = 7 }))
  end)

  it("names the line in moongate.lua", function()
    assert.matches("moongate.lua:3: settings.p.b: unknown key (did you mean \"a\"?)",
      settings("{ a = 'duration' }", { b = 1 }), 1, true)
    assert.matches("settings.p: \"a\" is missing",
      settings("{ a = { type = 'string', required = true } }", {}), 1, true)
    assert.matches("moongate.lua:3: settings.p.a: seconds, or a text such as \"10s\" expected",
      settings("{ a = 'duration' }", { a = "soon" }), 1, true)
  end)

  it("are read-only", function()
    assert.matches("read-only", load_errors "require('moongate').settings('p').x = 1 return {}", 1,
      true)
    assert.matches("read-only", load_errors "require('moongate').config.workers = 1 return {}", 1,
      true)
  end)
end)
