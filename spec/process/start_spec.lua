local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local socket = require "socket"

local function moongate(...)
  return child.run { gateway.binary(), ... }
end

--- Runs a folder of files that should not start; the exit status and what it printed.
local function fail_to_start(files, command)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder .. "/scripts")
  for name, text in pairs(files) do
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  local code, text = moongate(command or "run", "-c", folder .. "/moongate.lua")
  os.execute("rm -rf " .. folder)
  return code, text
end

describe("the command line", function()
  it("tells its version and its commands", function()
    local code, text = moongate "--version"
    assert.equal(0, code)
    assert.matches("^moongate %d+%.%d+%.%d+\n$", text)
    code, text = moongate "--help"
    assert.equal(0, code)
    for _, command in ipairs { "run", "check", "lua" } do
      assert.matches("\n  " .. command .. " ", text)
      local status, help = moongate(command, "--help")
      assert.equal(0, status)
      assert.matches("^Usage: moongate " .. command .. " .*Exit status: 0", help)
    end
  end)

  it("ends with 2 and says what to do when it is used wrongly", function()
    for _, words in ipairs { {}, { "walk" }, { "run", "-x" }, { "run", "a" }, { "check", "-c" },
      { "lua" } } do
      local code, text = moongate(unpack(words))
      assert.equal(2, code)
      assert.matches("`moongate.* %-%-help` tells how", text)
    end
  end)

  it("hides its internal commands and refuses them to people", function()
    local _, text = moongate "--help"
    assert.not_matches("@", text)
    assert.equal(1, (moongate("@worker", "1")))
    assert.equal(1, (moongate("@helper", "")))
  end)
end)

describe("a configuration that is wrong", function()
  local WRONG = { ["moongate.lua"] = [[
local c = require "moongate.config"
return c.gateway {
  wrokers = 2,
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = "open" },
}
]], ["scripts/open.lua"] = "return {}\n" }

  for _, command in ipairs { "run", "check" } do
    it(("ends `%s` with 1 and names file and line"):format(command), function()
      local code, text = fail_to_start(WRONG, command)
      assert.equal(1, code)
      assert.matches("moongate%.lua:3:.* wrokers: unknown key", text)
    end)

    it(("ends `%s` with 1 when a policy has a syntax error"):format(command), function()
      local files = pop3.files { pop3 = "127.0.0.1:0" }
      files["scripts/open.lua"] = "return {\n  auth = = 1,\n}\n"
      local code, text = fail_to_start(files, command)
      assert.equal(1, code)
      assert.matches("open%.lua:2: ", text)
    end)

    it(("ends `%s` with 1 when the file does not exist"):format(command), function()
      local code, text = moongate(command, "-c", "/nowhere/moongate.lua")
      assert.equal(1, code)
      assert.matches("/nowhere/moongate%.lua", text)
    end)
  end

  it("is told whole: all mistakes, of the configuration and of every policy, in one run", function()
    local code, text = fail_to_start({
      ["moongate.lua"] = [[
local c = require "moongate.config"
return c.gateway {
  wrokers = 2,
  c.listen "one" { address = "127.0.0.1:0", protocol = "pop3",
    policy = { "syntax", "hook", "absent", "needs", "runs", "nothing" } },
  c.listen "two" { address = "127.0.0.1:0", protocol = "pup3", policy = "syntax" },
}
]],
      ["scripts/syntax.lua"] = "return {\n  auth = = 1,\n}\n",
      ["scripts/hook.lua"] = "return {\n  auht = function() end,\n}\n",
      ["scripts/needs.lua"] = "\nlocal gone = require \"no.such.module\"\nreturn gone\n",
      ["scripts/runs.lua"] = "\n\nlocal x = nil + 1\nreturn { auth = x }\n",
      ["scripts/nothing.lua"] = "local unused = 1\n",
    }, "check")
    assert.equal(1, code)
    for _, expected in ipairs {
      "moongate%.lua:3:3: error: wrokers: unknown key",
      "moongate%.lua:6:45: error: listen \"two\": protocol: ",
      "scripts/syntax%.lua:2: ", "scripts/hook%.lua:2:3: error: unknown hook \"auht\"",
      "moongate%.lua:5:35: error: policy \"absent\" not found",
      "scripts/needs%.lua:2: error: .*no%.such%.module",
      "scripts/runs%.lua:3: ", "scripts/nothing%.lua:%d+: ",
    } do
      assert.matches(expected, text)
    end
    -- Each line is `file:line:column: level: message [code]`, for editors to jump to.
    for line in text:gmatch "[^\n]+" do
      assert.matches("^%S+:%d+:?%d*: error: .+ %[[%l-]+%]$", line)
    end
  end)

  it("ends run with 1 when the user does not exist", function()
    local files = pop3.files({ pop3 = "127.0.0.1:0" }, '  user = "no-such-user",')
    local code, text = fail_to_start(files)
    assert.equal(1, code)
    assert.matches('user "no%-such%-user" does not exist', text)
  end)

  it("ends run with 1 when the log can't be opened", function()
    local files = pop3.files({ pop3 = "127.0.0.1:0" }, '  log = { target = "/nowhere/log" },')
    local code, text = fail_to_start(files)
    assert.equal(1, code)
    assert.matches("log: /nowhere/log: No such file", text)
  end)

  it("is fine for check when nothing is wrong", function()
    local code, text = fail_to_start(pop3.files { pop3 = "127.0.0.1:0" }, "check")
    assert.equal(0, code)
    assert.matches("nothing is wrong", text)
  end)

  it("names the listener whose port another program has", function()
    local taken = assert(socket.bind("127.0.0.1", 0))
    local port = select(2, taken:getsockname())
    local code, text = fail_to_start(pop3.files { mine = "127.0.0.1:" .. port })
    taken:close()
    assert.equal(1, code)
    assert.matches(('listen "mine": bind 127%%.0%%.0%%.1:%d: Address already in use'):format(port),
      text)
  end)

  it("does not share a port with another gateway", function()
    local first = gateway.start { files = pop3.files { pop3 = "127.0.0.1:0" } }
    local code, text = fail_to_start(pop3.files { pop3 = "127.0.0.1:" .. first.ports.pop3 })
    first:stop()
    assert.equal(1, code)
    assert.matches("Address already in use", text)
  end)
end)

describe("the ready line", function()
  local path = os.tmpname()
  local started

  setup(function()
    os.remove(path)
    started = gateway.start { files = pop3.files({ four = "127.0.0.1:0", six = "[::1]:0",
      file = "unix:" .. path }, "  workers = 3,") }
  end)
  teardown(function() started:stop() end)

  it("comes once and names every listener's real address", function()
    local lines = {}
    for line in started:log():gmatch "moongate: ready[^\n]*" do lines[#lines + 1] = line end
    assert.equal(1, #lines)
    assert.matches(" four=127%.0%.0%.1:[1-9]%d*%f[%D]", lines[1])
    assert.matches(" six=%[::1%]:[1-9]%d*%f[%D]", lines[1])
    assert.matches(" file=unix:" .. path:gsub("%p", "%%%0"), lines[1])
  end)

  it("comes when every listener accepts", function()
    local four, greeting = pop3.connect(started.ports.four)
    assert.matches("^%+OK", greeting)
    four:close()
    local six = assert(socket.tcp6())
    six:settimeout(5)
    assert(six:connect("::1", tonumber(started:log():match "six=%[::1%]:(%d+)")))
    assert.matches("^%+OK", six:receive "*l")
    six:close()
    local file = require "socket.unix"()
    file:settimeout(5)
    assert(file:connect(path))
    assert.matches("^%+OK", file:receive "*l")
    file:close()
  end)

  it("names one port that all workers share", function()
    for _ = 1, 30 do
      local client, greeting = pop3.connect(started.ports.four)
      assert.matches("^%+OK", greeting)
      client:close()
    end
  end)
end)
