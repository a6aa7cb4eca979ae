--- What `moongate check` finds, level by level, and how it says so.
local check = require "spec.support.check"
local json = require "cjson"

local function policy(hooks, options)
  options = options or {}
  options.files = options.files or {}
  options.files["scripts/policy.lua"] = check.policy(hooks)
  return check.run(options)
end

describe("moongate check", function()
  it("is content with what is right, and says so", function()
    local code, text = check.run {}
    assert.equal(0, code)
    assert.equal("moongate.lua: nothing is wrong\n", text)
    code, text = check.run { "--strict", "--format", "json" }
    assert.equal(0, code)
    assert.equal("[]\n", text)
    code, text = check.run { "--strict", "--format", "gcc", "--print", errors = false }
    assert.equal(0, code)
    assert.not_matches("nothing is wrong", text)
  end)

  it("finds syntax errors, in every file that is read", function()
    local code, text = check.run { files = {
      ["moongate.lua"] = check.configuration("", " mechanisms = require \"parts\", ")
        :gsub("policy = \"policy\"", "policy = { \"policy\", \"other\" }"),
      ["parts.lua"] = "return { \"PLAIN\" }\n",
      ["scripts/policy.lua"] = "local x = require \"half\"\nreturn {}\n",
      ["scripts/half.lua"] = "local x =\n",
      ["scripts/other.lua"] = "return {\n  auth = = 1,\n}\n",
    } }
    assert.equal(1, code)
    assert.matches("scripts/half.lua:2: error: .* %[syntax%]\n", text)
    assert.matches("scripts/other.lua:2: error: unexpected symbol near '=' [syntax]\n", text, 1,
      true)
  end)

  it("finds globals that are not there or assigned, where no login has led yet", function()
    local code, text = policy([[
  auth = function(session, credentials)
    local function never()
      if credentials.user == "x" then counter = conter + 1 end
      return session, string.format("%d", os.time())
    end
    return never
  end,
  closed = function() print(_G.nothing_of_ours, pairs, moongate) end,]],
      { files = { ["scripts/used.lua"] = "return function() return io.open end\n",
        ["parts.lua"] = "return { text = function() return os end, name = \"x\" }\n",
        ["moongate.lua"] = check.configuration("shutdown_timeout = #require(\"parts\").name,")
          :gsub("\"policy\"", "{ \"policy\", \"uses\" }"),
        ["scripts/uses.lua"] = "require \"used\"\nreturn {}\n" } })
    assert.equal(1, code)
    assert.equal(table.concat({
      "parts.lua:1:35: error: undefined global \"os\" [undefined-global]",
      "scripts/policy.lua:5:39: error: assignment to global \"counter\": declare it local "
        .. "[assigned-global]",
      "scripts/policy.lua:5:49: error: undefined global \"conter\" [undefined-global]",
      "scripts/used.lua:1:26: error: undefined global \"io\" [undefined-global]", "",
    }, "\n"), text)
  end)

  it("finds calls of what a module or a library does not have", function()
    local code, text = policy [[
  auth = function(session, credentials)
    local http, os = require "moongate.http", session
    if credentials.user == "" then return moongate.rejct {} end
    if credentials.user == "x" then return string.formt("x", os.exit(1), http.gett "x") end
    if math.no then return session.math.no(moongate.secret.of "x") end
    return moongate.reject {}
  end,
  closed = function(moongat) moongat.closed(require("moongate.http").gett) end,]]
    assert.equal(1, code)
    assert.equal(table.concat({
      "scripts/policy.lua:5:52: error: there is no moongate.rejct [undefined-field]",
      "scripts/policy.lua:6:51: error: there is no string.formt [undefined-field]", "",
    }, "\n"), text)
  end)

  it("warns of SCRAM without verifiers, and of verifiers without SCRAM", function()
    local listed = { ["moongate.lua"] = check.configuration("",
      " mechanisms = { \"SCRAM-SHA-256\" },") }
    local code, text = policy("verifier = function() end,", { files = listed })
    assert.equal(0, code)
    assert.matches("nothing is wrong", text, 1, true)
    text = select(2, policy("verifier = function() end,"))
    assert.equal("scripts/policy.lua:3:1: warning: hook \"verifier\" is never asked: no listener "
      .. "with this policy has a SCRAM among its mechanisms [unused-hook]\n", text)
    text = select(2, policy("auth = function() end,", { files = listed }))
    assert.matches("moongate.lua:4:%d+: warning: listen \"one\": SCRAM is not offered: no policy "
      .. "has the hook \"verifier\" %[no%-verifier%]\n", text)
  end)

  it("warns of hooks that no listener of the policy asks", function()
    local hooks = "rcpt = function() end,\nhelo = function() end,\ncertificate = function() end,\n"
      .. "secured = function() end,\nauth = function() end,"
    local code, text = policy(hooks)
    assert.equal(0, code)
    for line, expected in pairs {
      [3] = "\"rcpt\" is never asked: no listener with this policy speaks SMTP with auth = "
        .. "\"none\"", [4] = "\"helo\" is never asked: no listener with this policy speaks SMTP",
      [5] = "\"certificate\" is never asked: no listener with this policy has tls",
      [6] = "\"secured\" is never asked: no listener with this policy offers STARTTLS",
    } do
      assert.matches(("scripts/policy.lua:%d:1: warning: hook %s [unused-hook]\n")
        :format(line, expected), text, 1, true)
    end
    assert.equal(4, select(2, text:gsub("\n", "\n")))
    local function configuration(keys)
      return { ["moongate.lua"] = check.configuration(([[c.listen "two" {
        address = "127.0.0.1:0", policy = "policy", %s },]]):format(keys)) }
    end
    code, text = policy(hooks, { files = configuration "protocol = \"smtp\", auth = \"none\"" })
    assert.equal(0, code)
    assert.not_matches("\"rcpt\" is never", text)
    assert.not_matches("\"helo\" is never", text)
    -- Those that come with Moongate are made for every listener.
    code, text = check.run { files = { ["moongate.lua"] = check.configuration
      "settings = { auth_http = { url = \"http://127.0.0.1:9/\" } },"
      :gsub("\"policy\"", "\"auth_http\"") } }
    assert.equal(0, code)
    assert.matches("nothing is wrong", text, 1, true)
  end)

  it("warns of hooks that declare more than they get", function()
    local code, text = policy [[
  init = function(session) return session end,
  auth = function(session, credentials) return session, credentials end,
  route = function(session, ...) return session, ... end,
  closed = function(self, session, summary) return self, session, summary end,]]
    assert.equal(0, code)
    assert.equal(table.concat({
      "scripts/policy.lua:3:3: warning: hook \"init\" declares 1 parameters and is called with 0 "
        .. "[arity]",
      "scripts/policy.lua:6:3: warning: hook \"closed\" declares 3 parameters and is called with 2 "
        .. "[arity]", "",
    }, "\n"), text)
  end)

  it("finds what the configuration, policies and constructors are wrong about", function()
    local code, text = check.run { files = {
      ["moongate.lua"] = check.configuration("wrokers = 1,\nlog = { level = 5 },")
        :gsub("\"policy\"", "{ \"policy\", \"more\", \"gone\" }"),
      ["scripts/policy.lua"] = "return {\n  auth = function() end,\n  auht = function() end }\n",
      ["scripts/more.lua"] = "local moongate = require \"moongate\"\n"
        .. "local no = moongate.reject { reson = \"x\" }\n"
        .. "return { auth = function() return no end }\n",
    } }
    assert.equal(1, code)
    for _, expected in ipairs {
      "moongate.lua:5:1: error: wrokers: unknown key (did you mean \"workers\"?) [unknown-key]",
      "moongate.lua:6:9: error: log.level: one of error, warn, info, debug expected, not 5 "
        .. "[bad-value]",
      "scripts/policy.lua:3:3: error: unknown hook \"auht\" (did you mean \"auth\"?) "
        .. "[unknown-hook]",
      "scripts/more.lua:2:30: error: reject: unknown field \"reson\" (did you mean \"reason\"?) "
        .. "[policy]",
    } do
      assert.matches(expected, text, 1, true)
    end
    assert.matches("moongate.lua:4:%d+: error: policy \"gone\" not found .* %[no%-policy%]", text)
  end)

  it("names the place of files that can't be used", function()
    local code, text = check.run { files = { ["moongate.lua"] = check.configuration("", [[

    tls = {
      certificate = "/no/such/certificate.pem",
    },]]) } }
    assert.equal(1, code)
    assert.matches("moongate.lua:6:%d+: error: listen \"one\": .*/no/such/certificate.pem: "
      .. "No such file", text)
    code, text = check.run { files = { ["moongate.lua"] = check.configuration
      "user = \"no-such-user\"," } }
    assert.equal(1, code)
    assert.matches("moongate.lua:5:1: error: user \"no-such-user\" does not exist", text, 1, true)
  end)

  it("warns of settings that no policy reads", function()
    local code, text = check.run { files = {
      ["moongate.lua"] = check.configuration(
        "settings = {\nread = { a = 1 }, later = { a = 1 },\nforgotten = { a = 1 } },"),
      ["scripts/policy.lua"] = [[
        local moongate = require "moongate"
        moongate.settings "read"
        return { auth = function()
          return moongate.reject { text = moongate.config.settings["later"].a }
        end }]] } }
    assert.equal(0, code)
    assert.equal("moongate.lua:7:1: warning: settings.forgotten: no policy reads it "
      .. "[unread-setting]\n", text)
  end)
end)

describe("moongate check --strict", function()
  local HOOKS = [[
  auth = function(session, credentials)
    local res, err = session.vars.look(session)
    if not res then
      session:log("warn", err)
      return nil
    end
    if err then return end
    if res == nil then return nil end
    if not res then return nil, err end
    if not res then return moongate.tempfail {} end
    if session.user then return nil end
    local text = credentials.password:reveal() -- :reveal()
    local kept = credentials:retain(3)
    local run = os.execute
    return ":reveal() io.popen" .. text .. kept .. run
  end,]]

  it("warns of what wants a second look, and then ends with 2", function()
    local code, text = policy(HOOKS, { "--strict" })
    local places = {}
    for place, name in text:gmatch "scripts/policy.lua:(%d+:%d+): warning: [^\n]* %[([%l-]+)%]" do
      table.insert(places, place .. " " .. name)
    end
    assert.same({ "7:7 fail-open", "9:17 fail-open", "10:24 fail-open", "14:39 reveal",
      "15:30 retain", "16:17 blocking" }, places)
    assert.equal(2, code)
    assert.equal(0, (policy(HOOKS)))
    code, text = policy(HOOKS .. "helo = undefined_global,", { "--strict" })
    assert.equal(1, code)
    assert.matches("undefined_global", text)
  end)

  it("turns every other warning into 2 as well", function()
    assert.equal(2, (policy("rcpt = function() end,", { "--strict" })))
    assert.equal(0, (policy("rcpt = function() end,")))
  end)

  it("names modules that block", function()
    local code, text = check.run { "--strict", files = {
      ["scripts/policy.lua"] = "local socket = require \"socket\"\n"
        .. "local lualdap = require('lualdap')\nlocal own = require \"socket_of_mine\"\n"
        .. "return { closed = function() return socket, lualdap, own end }\n",
      ["scripts/socket.lua"] = "return {}\n", ["scripts/lualdap.lua"] = "return {}\n",
      ["scripts/socket_of_mine.lua"] = "return {}\n" } }
    assert.equal(2, code)
    assert.matches("scripts/policy.lua:1:16: warning: \"socket\" waits in C", text, 1, true)
    assert.matches("scripts/policy.lua:2:17: warning: \"lualdap\" waits in C", text, 1, true)
    assert.equal(2, select(2, text:gsub("\n", "\n")))
  end)
end)

describe("the formats of moongate check", function()
  local options = function(...)
    return { files = { ["moongate.lua"] = check.configuration "wrokers = 1,",
      ["scripts/policy.lua"] = "\nreturn x + {}\n" }, ... }
  end

  it("are text,", function()
    local _, text = check.run(options("--format", "text"))
    assert.equal("moongate.lua:5:1: error: wrokers: unknown key (did you mean \"workers\"?) "
      .. "[unknown-key]\nscripts/policy.lua:2:8: error: undefined global \"x\" "
      .. "[undefined-global]\n", text)
  end)

  it("gcc's, which always has line and column,", function()
    local _, text = check.run { "--format", "gcc", "--env", "gone" }
    assert.equal("env/gone.lua:1:1: error: No such file or directory [file]\n", text)
  end)

  it("and JSON on standard output", function()
    local words = options("--format", "json")
    words.errors = false
    local code, text = check.run(words)
    assert.equal(1, code)
    local list = json.decode(text)
    assert.equal(2, #list)
    assert.matches("/moongate.lua$", list[1].file)
    list[1].file = nil
    assert.same({ line = 5, column = 1, level = "error", code = "unknown-key",
      message = "wrokers: unknown key (did you mean \"workers\"?)" }, list[1])
  end)
end)

describe("moongate check --print", function()
  it("writes every value and its place to standard output", function()
    local code, text = check.run { "--print", errors = false, files = {
      ["parts.lua"] = "local c = require \"moongate.config\"\nreturn {\n"
        .. "  listen = c.listen \"two\" {\n    address = \"127.0.0.1:0\",\n"
        .. "    protocol = \"smtp\", policy = \"policy\" } }\n",
      ["moongate.lua"] = check.configuration([[
  require "parts".listen,
  tls_profiles = { default = { min_version = "1.3" }, ["in-side"] = {} },
  settings = { a = { list = { 1, "x\ny" }, map = { on = true, ["b c"] = { 5 } } } },]]) } }
    assert.equal(0, code, text)
    for _, line in ipairs {
      "workers = 1 -- moongate.lua:3", "log.level = \"info\" -- default",
      "tls_profiles.default.min_version = \"1.3\" -- moongate.lua:6",
      "tls_profiles[\"in-side\"].min_version = \"1.2\" -- default",
      "settings.a.list = { 1, \"x\\ny\" } -- moongate.lua:7",
      "settings.a.map.on = true -- moongate.lua:7",
      "settings.a.map[\"b c\"] = { 5 } -- moongate.lua:7",
      "listen.two.protocol = \"smtp\" -- parts.lua:5",
      "listen.one.limits.attempts = 3 -- default",
    } do
      assert.matches("\n" .. line .. "\n", "\n" .. text, 1, true)
    end
  end)
end)

describe("the command line of moongate check", function()
  it("is refused with 2 when it is wrong", function()
    for _, words in ipairs { { "--format", "xml" }, { "--frmat", "json" }, { "more" }, { "--env" },
      { "--timeout", "soon" }, { "--timeout", "61" }, { "--print", "--format", "json" } } do
      local code, text = check.run(words)
      assert.equal(2, code, text)
      assert.matches("`moongate check %-%-help` tells how", text)
    end
  end)
end)
