--- `moongate console`: Lua in the environment of policies, from a pipe and at a terminal.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  settings = { mine = { key = "value" } },
  c.listen "a" { address = "127.0.0.1:0", protocol = "imap", policy = "mine" },
}
]]

describe("moongate console", function()
  local top

  local function write(name, text)
    local file = assert(io.open(top .. "/" .. name, "w"))
    file:write(text)
    file:close()
    return top .. "/" .. name
  end

  setup(function()
    local pipe = io.popen "mktemp -d /tmp/moongate-project.XXXXXX"
    top = pipe:read "*l"
    pipe:close()
    os.execute(("mkdir %s/scripts"):format(top))
    write("moongate.lua", CONFIG)
    write("scripts/mine.lua", [[
      local function helper() return "helped" end
      return { auth = function() end, helper = nil, helper()  and nil }]])
    write("scripts/words.lua", "return { hello = function(name) return 'hello ' .. name end }")
  end)
  teardown(function() os.execute("rm -rf " .. top) end)

  --- What it says to `input`, and its exit status.
  local function typed(input, ...)
    local file = write("input", input)
    local words = { "console", "-c", top .. "/moongate.lua", ... }
    local code, output = child.run { "/bin/sh", "-c", "input=$1; shift; exec \"$@\" <\"$input\"",
      "sh", file, gateway.binary(), unpack(words) }
    return output, code
  end

  for title, case in pairs {
    ["the value of an expression"] = { "1 + 1", "2\n" },
    ["several values"] = { "1, nil, 'a\\nb'", "1\nnil\n\"a\\nb\"\n" },
    ["nothing for nothing"] = { "\n  \nlocal x = 1\n", "" },
    ["tables, sorted and indented"] = { "{ b = { true }, 10, a = {}, [5] = 'x' }",
      "{\n  10,\n  [5] = \"x\",\n  a = {},\n  b = {\n    true,\n  },\n}\n" },
    ["tables that hold themselves"] = { "t = {} t.t = t\nt", "{\n  t = { itself },\n}\n" },
    ["the start of long tables"] = { "t = {} for i = 1, 60 do t[i] = i end\nt",
      "  50,\n  ... and 10 more\n}\n" },
    ["decisions"] = { "moongate.reject { reason = 'x' }", "decision: reject\n" },
    ["no secrets"] = { "{ p = secret.of 'hunter2' }", "{\n  p = secret(redacted),\n}\n" },
    ["what is printed"] = { "print(1, 'x') return 2", "1\tx\n2\n" },
    ["the configuration"] = { "moongate.config.settings.mine", "{\n  key = \"value\",\n}\n" },
    ["variables of its own"] = { "x = 41\nx = x + 1\nx", "42\n" },
    ["input of several lines"] = { "function f(a)\n  return a * 2\nend\nf(\n21\n)", "42\n" },
    ["what a policy may require"] = { "require 'words'.hello 'you'", "\"hello you\"\n" },
    ["what was waited for"] = { "moongate.sleep(0.01) return 'slept'", "\"slept\"\n" },
    ["modules by their short names"] = { "json.encode { 1, 2 }", "\"[1,2]\"\n" },
  } do
    it("shows " .. title, function()
      local output, code = typed(case[1])
      assert.equal(0, code, output)
      assert.equal(case[2], output:sub(-#case[2]))
      assert.is_nil(output:find("hunter2", 1, true))
    end)
  end

  for title, case in pairs {
    ["a name that is none"] = { "nothing", "console:1: undefined global \"nothing\"\n" },
    ["an error, with its line"] = { "\nerror 'x'", "console:1: x\n" },
    ["a mistake of an option"] = { "moongate.reject { reson = 'x' }",
      "console:1: reject: unknown field \"reson\" (did you mean \"reason\"?)\n" },
    ["a syntax error"] = { "x = = 1", "console:1: unexpected symbol near '='\n" },
    ["an end that never came"] = { "for i = 1, 2 do", "console:1: 'end' expected near '<eof>'\n" },
    ["a loop without an end"] = { "while true do end",
      "the CPU budget of this call is used up\n" },
    ["what policies have not"] = { "io.open '/etc/passwd'",
      "console:1: undefined global \"io\"\n" },
  } do
    it("tells of " .. title .. ", and goes on", function()
      local output, code = typed(case[1])
      assert.equal(1, code, output)
      assert.equal(case[2], output)
      if title:match "end that" then return end
      assert.equal("\"on\"\n", typed(case[1] .. "\n'on'"):match "[^\n]*\n$")
    end)
  end

  it("says what is wrong with a configuration and with options", function()
    write("bad.lua", "return {")
    local code, output = child.run { gateway.binary(), "console", "-c", top .. "/bad.lua" }
    assert.equal(1, code)
    assert.matches("bad.lua:1: ", output, 1, true)
    code, output = child.run { gateway.binary(), "console", "--nope" }
    assert.equal(2, code)
    assert.matches("there is no option \"--nope\"", output, 1, true)
    code, output = child.run { gateway.binary(), "console", "--help" }
    assert.equal(0, code)
    assert.matches("^Usage: moongate console", output)
  end)

  it("has a prompt, and names for the Tab key, at a terminal", function()
    local command = ("%s console -c %s/moongate.lua"):format(gateway.binary(), top)
    local fifo = top .. "/keys"
    os.execute("mkfifo " .. fifo)
    local console = child.start { "/bin/sh", "-c",
      "exec script -qefc \"$1\" /dev/null <\"$2\"", "sh", command, fifo, log = top .. "/screen" }
    local keys = assert(io.open(fifo, "w"))
    local function type_in(text)
      keys:write(text)
      keys:flush()
    end
    console:expect "> "
    type_in "moongate.rej\t { reason = 'x' }\n"
    console:expect "decision: reject"
    type_in "mine = { secret_of_mine = 1 + 41 }\nmine.sec\t\n"
    console:expect "42\r?\n"
    type_in "if true then\n"
    console:expect ">> "
    type_in "print('don' .. 'e') end\nhttp.nothing()\n"
    console:expect "done\r?\n.*attempt to call field 'nothing'"
    keys:close()
    assert.equal(0, (console:wait(10)))
    console:stop()
  end)
end)
