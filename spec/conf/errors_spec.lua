local spec = require "moongate.spec"

--- All errors of a configuration, as one text.
local function errors(config, files)
  local _, text = spec.open { config = config, files = files }
  return text or ""
end

local LISTEN = "c.listen \"a\" { address = \"127.0.0.1:143\", policy = \"by_domain\" }"

--- A configuration of one gateway block that begins on line 2.
local function gateway(members)
  return "local c = require \"moongate.config\"\nreturn c.gateway {\n" .. members .. "\n}\n"
end

local function listen(keys)
  return gateway("c.listen \"a\" {\naddress = \"127.0.0.1:143\", policy = \"by_domain\",\n"
    .. keys .. "\n}")
end

describe("errors of a configuration", function()
  it("name file, line and key, all of them in one run", function()
    assert.equal(table.concat({
      "moongate.lua:3: wrokers: unknown key (did you mean \"workers\"?)",
      "moongate.lua:4: log.level: one of error, warn, info, debug (did you mean \"info\"?) "
        .. "expected, not \"inf\"",
      "moongate.lua:7: listen \"imap\": polcy: unknown key (did you mean \"policy\"?)",
      "moongate.lua:10: listen \"imap\": limits.hook_timeot: unknown key "
        .. "(did you mean \"hook_timeout\"?)",
      "moongate.lua:11: listen \"imap\": limits.errors: a whole number expected, not \"x\"",
      "moongate.lua:14: listen \"pop\": \"address\" is missing",
    }, "\n"), errors [[
local c = require "moongate.config"
return c.gateway {
  wrokers = 2,
  log = { level = "inf" },
  c.listen "imap" {
    address = "127.0.0.1:0", protocol = "imap",
    polcy = "x", -- policy =
    -- limits = { errors = 1 }
    limits = {
      hook_timeot = 5,
      errors = "x",
    },
  },
  c.listen "pop" { policy = "by_domain" },
}]])
  end)

  it("are told for pools, and for what names one", function()
    assert.equal(table.concat({
      "moongate.lua:4: pools.imap.prfile: unknown key (did you mean \"profile\"?)",
      "moongate.lua:4: pools.imap[2].weigth: unknown key (did you mean \"weight\"?)",
      "moongate.lua:5: pools.imap.balance: one of least, round_robin, hash "
        .. "(did you mean \"least\"?) expected, not \"lest\"",
      "moongate.lua:7: pools.good.profile: `tls_profiles` has no \"interal\" "
        .. "(did you mean \"internal\"?)",
      "moongate.lua:8: pools.empty: at least one is needed",
      "moongate.lua:9: pools.1x: a name of letters, digits, _ and - expected, "
        .. "not beginning with a digit",
      "moongate.lua:10: pools.nested: a is a member twice",
      "moongate.lua:10: pools.nested[1].address: an upstream that is no pool expected, "
        .. "not \"pool:imap\"",
      "moongate.lua:10: pools.nested[2].address: an upstream such as \"10.0.0.5:143\" "
        .. "(\"b:99999\" has no port from 1 to 65535) expected, not \"b:99999\"",
      "moongate.lua:11: pools.more.pin[1]: \"sha256/\" and 44 digits of base64 "
        .. "(not such a digest) expected, not \"x\"",
      "moongate.lua:11: pools.more.source: an IP address (not an address) expected, not \"eth0\"",
      "moongate.lua:11: pools.more[1].weight: at least 1 expected, not 0",
      "moongate.lua:16: listen \"imap\": upstream: one of the `pools` "
        .. "(did you mean \"pool:good\"?) expected, not \"pool:god\"",
      "moongate.lua:14: settings.static.upstream: one of the `pools` "
        .. "(did you mean \"pool:imap\"?) expected, not \"pool:impa\"",
    }, "\n"), errors [[
local c = require "moongate.config"
return c.gateway {
  pools = {
    imap = { "10.0.0.11:143", { address = "10.0.0.12", weigth = 2 }, prfile = "internal",
      balance = "lest" },
    good = { "10.0.0.11", { address = "10.0.0.12", weight = 2, backup = true },
      tls = "starttls", profile = "interal" },
    empty = {},
    ["1x"] = { "a" },
    nested = { "pool:imap", "b:99999", "a", "a" },
    more = { { address = "a", weight = 0 }, pin = "x", source = "eth0" },
  },
  tls_profiles = { internal = {} },
  settings = { static = { upstream = "pool:impa" } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "static" },
    upstream = "pool:god" },
}]])
    local members = {}
    for i = 1, 257 do members[i] = ("\"h%d\""):format(i) end
    assert.matches("pools.big: at most 256 are allowed",
      errors(gateway("pools = { big = { " .. table.concat(members, ", ") .. " } },\n" .. LISTEN)),
      1, true)
  end)

  it("are told for every kind of value", function()
    for _, case in ipairs {
      { "workers = 0", "workers: at least 1 expected, not 0" },
      { "workers = \"many\"", "workers: a whole number expected, not \"many\"" },
      { "workers = 1.5", "workers: a whole number expected, not 1.5" },
      { "user = 5", "user: a text expected, not 5" },
      { "log = \"debug\"", "log: a table expected, not \"debug\"" },
      { "resolver = { \"ns.example\" }", "resolver[1]: an address such as \"127.0.0.53\"" },
      { "shutdown_timeout = \"soon\"", "shutdown_timeout: seconds, or a text such as \"10s\"" },
      { "shutdown_timeout = -1", "shutdown_timeout: seconds, or a text such as \"10s\"" },
      { "settings = 5", "settings: a table expected, not 5" },
      { "settings = { f = print }", "undefined global \"print\"" },
      { "settings = { f = string.rep }", "settings.f: data expected, not a function" },
      { "5", "member 2 is not a c.listen block" },
    } do
      local text = errors(gateway(LISTEN .. ",\n" .. case[1]))
      assert.matches(case[2], text, 1, true)
      assert.matches("moongate.lua:[24]: ", text)
    end
  end)

  it("are told for every kind of value of a listener", function()
    for _, case in ipairs {
      { "protocol = \"impa\"", "protocol: one of imap, pop3, smtp (did you mean \"imap\"?)" },
      { "address = \"mail.example:143\"", "address[1]: an address such as" },
      { "address = \"127.0.0.1\"", "address[1]: an address such as" },
      { "address = {}", "address: at least one is needed" },
      { "address = { x = \"y\" }", "address: a list expected" },
      { "policy = \"../x\"", "policy[1]: the name of a policy expected" },
      { "upstream = \"x:0\"", "upstream: an upstream such as" },
      { "greeting = \"a\\r\\nb\"", "greeting: a text without control characters" },
      { "mechanisms = { \"PLIAN\" }", "mechanisms[1]: one of PLAIN, LOGIN, CRAM-MD5, EXTERNAL" },
      { "mechanisms = { \"EXTERNAL\" }",
        "mechanisms: EXTERNAL needs tls.client_certificate" },
      { "mechanisms = { \"SCRAM-SHA-1-PLUS\" }", "mechanisms: SCRAM-SHA-1-PLUS needs tls" },
      { "forward = \"maybe\"", "forward: one of offered, always, off" },
      { "trusted = \"10.0.0.0/33\"", "trusted[1]: a network such as" },
      { "mechanisms = { \"APOP\" }", "mechanisms: APOP is for POP3 only" },
      { "auth = \"none\"", "auth: \"none\" is for SMTP only" },
      { "probe = 5", "probe: there is no \"upstream\"" },
      { "limits = { command_max = \"1m\" }", "limits.command_max: at most 32768" },
      { "limits = { hook_timeout = 0 }", "limits.hook_timeout: at least 0.05" },
      { "username = { case = \"upper\" }", "username.case: one of keep, lower" },
      { "socket = { mode = \"rw\" }", "socket.mode: three octal digits" },
      { "tls = {}", "tls: \"certificate\" is missing" },
      { "tls = { mode = \"on\" }", "tls.mode: one of implicit, starttls, required" },
      { "tls = { certificate = \"c\", client_certificate = \"required\" }",
        "tls.client_certificate: \"ca\" or \"trusted_ca\" is needed" },
      { "proxy_protocol = {}", "proxy_protocol: \"from\" is missing" },
      { "proxy_protocol = { from = \"10.0.0.0/33\" }",
        "proxy_protocol.from[1]: a network such as" },
      { "[5] = 1", "a key without a name: 1" },
    } do
      local text = errors(listen(case[1]))
      assert.matches("moongate.lua:[3-5]: listen \"a\": ", text)
      assert.matches(case[2], text, 1, true)
    end
  end)

  it("are told for listeners as a whole", function()
    assert.matches("there is no listener", errors(gateway ""), 1, true)
    assert.matches("the name is used twice", errors(gateway(LISTEN .. ",\n" .. LISTEN)), 1, true)
    assert.matches("\"policy\" is missing",
      errors(gateway "c.listen \"a\" { address = \"127.0.0.1:143\" }"), 1, true)
    assert.matches("the port does not tell it",
      errors(gateway "c.listen \"a\" { address = \"127.0.0.1:1\", policy = \"x\" }"), 1, true)
    assert.matches("moongate.lua:3: listen: a name of letters",
      errors(gateway "c.listen \"a b\" {}"), 1, true)
  end)

  it("of policies come with those of other policies", function()
    local text = errors(gateway [[c.listen "a" {
      address = "127.0.0.1:143",
      policy = { "missing", "broken", "hooks" } }]], {
      ["scripts/broken.lua"] = "local x = (",
        ["scripts/hooks.lua"] = "return { auht = function() end }" })
    assert.matches("moongate.lua:5: policy \"missing\" not found (looked for scripts/missing.lua",
      text, 1, true)
    assert.matches("scripts/broken.lua:1: unexpected symbol", text, 1, true)
    assert.matches("scripts/hooks.lua:1: unknown hook \"auht\" (did you mean \"auth\"?)", text, 1,
      true)
  end)
end)

describe("a configuration", function()
  it("is data: it can't reach the system", function()
    for _, name in ipairs { "os", "io", "coroutine", "debug", "load", "print", "collectgarbage" } do
      assert.matches(('moongate.lua:1: undefined global "%s"'):format(name),
        errors("local x = " .. name), 1, true)
    end
    assert.matches("may require", errors "require \"moongate\"", 1, true)
    assert.matches("may require", errors "require \"moongate.http\"", 1, true)
    assert.matches("CPU budget", errors "while true do end", 1, true)
  end)

  it("must be a gateway", function()
    for _, text in ipairs { "", "return {}", "return 5",
      "local c = require \"moongate.config\" return {}",
      "local c = require \"moongate.config\" return c.listen \"a\" {}" } do
      assert.matches("moongate.lua:1: the file must return c.gateway { ... }", errors(text), 1,
        true)
    end
    assert.matches("moongate.lua:1: ", errors "return (", 1, true)
  end)

  it("may be split over files beside it", function()
    local text = [[
local c = require "moongate.config"
local parts = require "parts"
return c.gateway { parts.listen }]]
    local part = "local c = require \"moongate.config\"\nreturn { listen = c.listen \"a\" {\n%s } }"
    local good = "address = \"127.0.0.1:143\", policy = \"static_x\""
    assert.matches("parts.lua:3: policy \"static_x\" not found",
      errors(text, { ["parts.lua"] = part:format(good) }), 1, true)
    assert.matches("parts.lua:3: listen \"a\": adress: unknown key (did you mean \"address\"?)",
      errors(text, { ["parts.lua"] = part:format "adress = 1" }), 1, true)
    assert.matches("module \"parts\" not found", errors(text), 1, true)
  end)

  it("reads secrets from files, and names those that are missing", function()
    local config = gateway(LISTEN .. ",\nsettings = { p = { key = c.secret.file \"key.txt\" } }")
    assert.matches("moongate.lua:4: secret.file: .*key.txt: No such file", errors(config))
    local policy = [[
      local moongate = require "moongate"
      local s = moongate.settings "p"
      return { auth = function()
        return moongate.reject { log = tostring(s.key) .. tostring(s.key:equals "k3y") }
      end }]]
    local g = spec.policy {
      config = config:gsub("by_domain", "p"),
      files = { ["scripts/p.lua"] = policy, ["key.txt"] = "k3y\nsecond line\n" } }
    assert.decision(g:session {}:login("a", "b")).is_reject { reason = "secret(redacted)true" }
  end)
end)
