--- `--env NAME`: env/NAME.lua is laid over moongate.lua.
local check = require "spec.support.check"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"

local BASE = [[
local c = require "moongate.config"
return c.gateway {
  workers = 2,
  log = { level = "info" },
  resolver = { "127.0.0.1", "127.0.0.2" },
  settings = { users = { host = "10.0.0.1:143", tags = { "a", "b" }, deep = { x = 1, y = 2 } } },
  c.listen "imap" {
    address = "127.0.0.1:0", protocol = "imap", policy = "policy",
    limits = { attempts = 2, errors = 4 },
  },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = { "policy" } },
}
]]

local READER = [[
local moongate = require "moongate"
moongate.settings "users"
return {}
]]

local function run(overlay, ...)
  return check.run { files = { ["moongate.lua"] = BASE, ["env/test.lua"] = overlay,
    ["scripts/policy.lua"] = READER }, "--env", "test", ... }
end

--- The lines of `--print`, by key: { value, place }.
local function values(overlay)
  local code, text = run("local c = require \"moongate.config\"\nreturn {\n" .. overlay .. "\n}\n",
    "--print")
  assert.equal(0, code, text)
  local found = {}
  for key, value, place in text:gmatch "(%S+) = ([^\n]*) %-%- (%S+)\n" do
    found[key] = { value, place }
  end
  return found
end

local function errors(overlay)
  local code, text = run(overlay)
  assert.equal(1, code, text)
  return text
end

describe("an environment", function()
  it("merges maps, and replaces lists and all else", function()
    local found = values [[
      workers = 4,
      log = { level = "debug" },
      resolver = { "127.0.0.9" },
      settings = { users = { tags = {}, deep = { y = 3 } } },]]
    assert.same({ "4", "env/test.lua:3" }, found.workers)
    assert.same({ "\"debug\"", "env/test.lua:4" }, found["log.level"])
    assert.same({ "{ \"127.0.0.9\" }", "env/test.lua:5" }, found["resolver.servers"])
    assert.same({ "{}", "env/test.lua:6" }, found["settings.users.tags"])
    assert.same({ "3", "env/test.lua:6" }, found["settings.users.deep.y"])
    assert.same({ "1", "moongate.lua:6" }, found["settings.users.deep.x"])
    assert.same({ "\"10.0.0.1:143\"", "moongate.lua:6" }, found["settings.users.host"])
    assert.same({ "\"text\"", "default" }, found["log.format"])
  end)

  it("merges a pool's settings, and replaces its members", function()
    local base = BASE:gsub("workers = 2,", [[workers = 2,
  pools = { one = { "10.0.0.1", "10.0.0.2", balance = "hash", retry = 5 } },]])
    local function print_with(over)
      local _, text = check.run { files = { ["moongate.lua"] = base,
        ["scripts/policy.lua"] = READER,
        ["env/test.lua"] = "return {\n pools = { one = " .. over .. " } }" },
        "--env", "test", "--print" }
      local found = {}
      for key, value, place in text:gmatch "pools.one.(%S+) = ([^\n]*) %-%- (%S+)\n" do
        found[key] = { value, place }
      end
      return found, text
    end
    local found = print_with "{ retry = 9 }"
    assert.same({ "9", "env/test.lua:2" }, found.retry)
    assert.same({ "\"hash\"", "moongate.lua:4" }, found.balance)
    assert.matches("10.0.0.1.*10.0.0.2", found.members[1])
    assert.equal("moongate.lua:4", found.members[2])
    found = print_with "{ \"10.9.9.9\" }"
    assert.same({ "\"hash\"", "moongate.lua:4" }, found.balance)
    assert.not_matches("10.0.0", found.members[1])
    assert.matches("10.9.9.9", found.members[1])
    assert.equal("env/test.lua:2", found.members[2])
    local _, text = print_with "{ { address = \"10.9.9.9\", weigth = 2 }, retri = 5 }"
    assert.matches("env/test.lua:2:%d+: error: pools.one.retri: not in what it is laid over", text)
    assert.matches("env/test.lua:2:%d+: error: pools.one%[1%].weigth: unknown key", text)
  end)

  it("finds listeners by their names", function()
    local found = values [[
      listen = {
        imap = { limits = { errors = 9 } },
        pop3 = { policy = {
          "policy", "by_domain" } },
      },]]
    assert.same({ "9", "env/test.lua:4" }, found["listen.imap.limits.errors"])
    assert.same({ "2", "moongate.lua:9" }, found["listen.imap.limits.attempts"])
    assert.same({ "{ \"policy\", \"by_domain\" }", "env/test.lua:5" }, found["listen.pop3.policy"])
    assert.same({ "{ \"policy\" }", "moongate.lua:8" }, found["listen.imap.policy"])
  end)

  it("adds with c.new, keys and listeners, and replaces maps whole with it", function()
    local found = values [[
      shutdown_timeout = c.new "5s",
      log = c.new { format = "json" },
      listen = { smtp = c.new {
        address = "127.0.0.1:0", protocol = "smtp", policy = "policy",
        limits = { errors = 7 } } },]]
    assert.same({ "5", "env/test.lua:3" }, found.shutdown_timeout)
    assert.same({ "\"json\"", "env/test.lua:4" }, found["log.format"])
    assert.same({ "\"info\"", "default" }, found["log.level"])
    assert.same({ "\"smtp\"", "env/test.lua:6" }, found["listen.smtp.protocol"])
    assert.same({ "7", "env/test.lua:7" }, found["listen.smtp.limits.errors"])
    assert.same({ "3", "default" }, found["listen.smtp.limits.attempts"])
  end)

  it("tells all its mistakes at once, with those of the base, each where it is written", function()
    local text = errors [[
local c = require "moongate.config"
return {
  wrokers = 3,
  user = "nobody",
  log = { level = "inf", levl = "x" },
  settings = { users = { deep = { z = 1 } } },
  listen = {
    impa = { policy = "policy" },
    imap = { limits = { errors = "many" }, polcy = "x" },
    pop3 = 5,
    more = c.new { protocol = "pop3", adress = "127.0.0.1:0", policy = "absent" },
  },
}
]]
    for _, expected in ipairs {
      "3:3: error: wrokers: not in what it is laid over (did you mean \"workers\"?) [absent-key]",
      "4:3: error: user: not in what it is laid over: c.new(...) adds it [absent-key]",
      "5:11: error: log.level: one of error, warn, info, debug (did you mean \"info\"?) expected",
      "5:26: error: log.levl: not in what it is laid over (did you mean \"level\"?)",
      "6:35: error: settings.users.deep.z: not in what it is laid over",
      "8:5: error: listen.impa: not in what it is laid over (did you mean \"imap\"?)",
      "9:25: error: listen \"imap\": limits.errors: a whole number expected, not \"many\"",
      "9:44: error: listen.imap.polcy: not in what it is laid over (did you mean \"policy\"?)",
      "10:5: error: listen.pop3: a table expected",
      "11:39: error: listen \"more\": adress: unknown key (did you mean \"address\"?)",
    } do
      assert.matches("env/test.lua:" .. expected, text, 1, true)
    end
    assert.equal(11, select(2, text:gsub("env/test.lua:", "")))
  end)

  it("must be there, be Lua, and return a plain table", function()
    local code, text = check.run { "--env", "absent" }
    assert.equal(1, code)
    assert.matches("env/absent.lua: error: No such file or directory", text, 1, true)
    code, text = check.run { "--env", "../x" }
    assert.equal(1, code)
    assert.matches("\"../x\" is not the name of an environment", text, 1, true)
    assert.matches("env/test.lua:1: error: unexpected symbol", errors "return = 5", 1, true)
    assert.matches("env/test.lua:2:[%d:]* error: undefined global \"os\"",
      errors "\nlocal x = os.time()\nreturn {}")
    assert.matches("env/test.lua:1: error: the file must return a plain table", errors "return 5",
      1, true)
    assert.matches("the file must return a plain table",
      errors "return require \"moongate.config\".gateway {}", 1, true)
    assert.matches("listen: a table expected, of listeners", errors "return { listen = 1 }", 1,
      true)
    assert.matches("names expected as keys, not 1", errors "return { \"x\" }", 1, true)
  end)

  it("is what a policy's settings are checked with too", function()
    local code, text = check.run { "--env", "test", files = {
      ["moongate.lua"] = BASE,
      ["env/test.lua"] = "return {\n  settings = {\n    users = { host = 5 } } }\n",
      ["scripts/policy.lua"] = [[
        require "moongate".settings("users", { host = "address", tags = "data", deep = "data" })
        return {}]] } }
    assert.equal(1, code)
    assert.matches("env/test.lua:3:15: error: settings.users.host: an upstream such as", text, 1,
      true)
  end)

  it("is laid over nothing when none is named", function()
    local code, text = check.run { "--print", files = { ["moongate.lua"] = BASE,
      ["env/test.lua"] = "return { workers = 7 }", ["scripts/policy.lua"] = READER } }
    assert.equal(0, code, text)
    assert.matches("workers = 2 -- moongate.lua:3\n", text, 1, true)
  end)
end)

describe("c.merge", function()
  it("lays one table over another anywhere in a configuration", function()
    local code, text = check.run { "--print", files = { ["moongate.lua"] = [[
local c = require "moongate.config"
local common = { protocol = "imap", policy = "policy", limits = { attempts = 2, errors = 3 } }
return c.gateway {
  c.listen "one" (c.merge(common, {
    address = c.new "127.0.0.1:0",
    limits = { errors = 9 },
  })),
}
]] } }
    assert.equal(0, code, text)
    assert.matches("listen.one.limits.errors = 9 -- moongate.lua:6\n", text, 1, true)
    assert.matches("listen.one.limits.attempts = 2 -- ", text, 1, true)
  end)

  it("says what is not there, and what is no table", function()
    local code, text = check.run { files = { ["moongate.lua"] = [[
local c = require "moongate.config"
local base = { attempts = 2 }
local limits = c.merge(base, {
  attemps = 3 })
local none = c.merge({}, 5)
return c.gateway {
  log = none,
  c.listen "one" { address = "127.0.0.1:0", protocol = "imap", policy = "policy", limits = limits },
}
]] } }
    assert.equal(1, code)
    assert.matches("moongate.lua:4:3: error: attemps: not in what it is laid over "
      .. "%(did you mean \"attempts\"%?%)", text)
    assert.matches("moongate.lua:5:16: error: merge: two tables expected", text, 1, true)
  end)
end)

describe("a gateway run with an environment", function()
  it("has it in every worker", function()
    local policy = [[
      local moongate = require "moongate"
      local settings = moongate.settings("who", { name = "text" })
      return { auth = function()
        return moongate.reject { text = "this is " .. settings.name }
      end }]]
    local gw = gateway.start {
      files = {
        ["moongate.lua"] = check.configuration("settings = { who = { name = \"the base\" } },"),
        ["env/staging.lua"] = [[
          local c = require "moongate.config"
          return { workers = 2, settings = { who = { name = "staging" } },
            listen = { two = c.new { address = "127.0.0.1:0", protocol = "pop3",
              policy = "policy" } } }]],
        ["scripts/policy.lua"] = policy,
      },
      words = { "--env", "staging" },
    }
    finally(function()
      client.discard_all()
      gw:stop()
    end)
    for _ = 1, 4 do
      local c = client.connect(gw.ports.one)
      c:expect "^%* OK"
      c:send_line("a LOGIN erin secret"):expect "^a NO .*this is staging"
    end
    local c = client.connect(gw.ports.two)
    c:expect "^%+OK"
    gw:write("env/staging.lua",
      "return { workers = 2, settings = { who = { name = \"the stage\" } } }")
    assert(gw:reload())
    c = client.connect(gw.ports.one)
    c:expect "^%* OK"
    c:send_line("a LOGIN erin secret"):expect "^a NO .*this is the stage"
  end)

  it("does not start with one that is wrong", function()
    local fine, message = pcall(gateway.start, {
      files = { ["moongate.lua"] = check.configuration(), ["scripts/policy.lua"] = "return {}",
        ["env/staging.lua"] = "return {\n  wrokers = 2 }" },
      words = { "--env", "staging" } })
    assert.is_false(fine)
    assert.matches("env/staging.lua:2: wrokers: not in what it is laid over", message, 1, true)
  end)
end)
