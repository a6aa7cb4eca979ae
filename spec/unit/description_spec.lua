--- lua/api describes what there is, and all of it: compared with the running program both ways.
local core = require "moongate.core"
local api = require "moongate.describe"
local ca = require "spec.support.ca"
local host = require "moongate.spec.host"
local spec = require "moongate.spec"

local facts = host.facts()

local function set(names)
  local found = {}
  for _, name in ipairs(names) do found[type(name) == "table" and name[1] or name] = true end
  return found
end

--- The keys of a table as a set, without those in `less`.
local function keys(values, less)
  local found = {}
  for key in pairs(values) do
    if not (less and less[key]) then found[key] = true end
  end
  return found
end

local function alias(name) return set(api.named(api.aliases, name).values) end

local function class(name) return api.named(api.all_classes, name) end

--- A gateway with one policy.
local function policy(text, listener, config)
  return spec.policy { "p", files = { ["scripts/p.lua"] = text }, listener = listener,
    config = config }
end

before_each(function() spec.logged() end)

describe("the description of hooks", function()
  it("has those that there are, and their answers", function()
    assert.same(keys(facts.hooks), set(api.hooks))
    for _, hook in ipairs(api.hooks) do
      assert.same({ [hook[1]] = facts.hooks[hook[1]] }, { [hook[1]] = set(hook.decides) })
      assert.same(set(hook.decides), keys(hook.answers or {}), hook[1])
    end
  end)

  it("has an example for each that works", function()
    local options = {
      user = "erin@example.org", password = "x", helo = "laptop", upstream = "10.0.0.5:143",
      mail = "MAIL FROM:<a@example.com>", rcpt = "RCPT TO:<a@example.org>", failure = "refused",
    }
    local smtp = { helo = true, mail = true, rcpt = true }
    for _, hook in ipairs(api.hooks) do
      local gateway = spec.policy { "p", files = { ["scripts/p.lua"] = hook.example },
        listen = { protocol = smtp[hook[1]] and "smtp" or "imap" } }
      local session = gateway:session(options)
      spec.logged()
      if hook[1] == "init" then
        assert.is_true(gateway:init())
      elseif hook[1] == "mechanisms" then
        session:mechanisms()
      elseif hook[1] ~= "certificate" then -- a session of a spec has no handshake
        local kind = session:ask(hook[1]).kind
        assert.is_true(kind == "nil" or facts.hooks[hook[1]][kind], hook[1] .. ": " .. kind)
      end
      assert.not_matches("policy \"p\", hook", spec.logged())
    end
  end)
end)

describe("the description of decisions", function()
  it("has those that there are, and their fields", function()
    local described = {}
    for _, decision in ipairs(api.decisions) do
      described[decision[1]] = set(decision.fields)
    end
    assert.same(facts.decisions, described)
  end)

  it("has the reasons, and how they are told", function()
    local labels = {}
    for _, reason in ipairs(api.reasons) do
      local told = {}
      for _, field in ipairs { "text", "imap", "pop3", "connect", "command", "login", "rcpt" } do
        told[field] = reason[field]
      end
      for _, label in ipairs { reason[1], unpack(reason.labels) } do
        labels[label] = true
        assert.same({ label, told }, { label, host.refusal(label) })
      end
    end
    assert.same(facts.reasons, labels)
    assert.same(host.refusal "not-allowed", host.refusal "another word")
  end)
end)

--- What is described as optional may be missing, as what it is made of may.
local LUA_TYPES = { integer = "number", number = "number", string = "string", boolean = "boolean",
  table = "table" }

local function compare_fields(path, fields, real)
  assert.same({ path, keys(real) }, { path, set(fields) })
  for _, field in ipairs(fields) do
    local value, kind = real[field[1]], LUA_TYPES[field[2]:match "^[%w_]+"]
    if field[2]:match "^%u" then kind = nil end
    if kind then assert.equal(kind, type(value), path .. "." .. field[1]) end
    if field.fields then compare_fields(path .. "." .. field[1], field.fields, value) end
  end
end

describe("the description of objects", function()
  it("has all that hooks are called with", function()
    for _, name in ipairs { "rcpt", "upstream", "reply", "summary", "err" } do
      local found
      for _, one in ipairs(api.classes) do
        if one.variable == name then found = one end
      end
      compare_fields(name, found.fields, facts.objects[name])
    end
  end)

  it("has the session's fields and methods", function()
    local session, methods = class "Session", {}
    for name, value in pairs(facts.objects.session) do
      if type(value) == "function" then methods[name] = true end
    end
    assert.same(methods, set(session.methods))
    local fields = {}
    for name, value in pairs(facts.objects.session) do
      if not methods[name] then fields[name] = value end
    end
    compare_fields("session", session.fields, fields)
  end)

  it("has those of credentials", function()
    local credentials = class "Credentials"
    local described = set(credentials.fields)
    for name in pairs(set(credentials.methods)) do described[name] = true end
    assert.same(facts.objects.credentials, described)
  end)

  it("has all names that are enumerated", function()
    assert.same(facts.failures, alias "FailureKind")
    assert.same(facts.phases, alias "Phase")
    local ends = {}
    for _, value in ipairs(api.named(api.aliases, "End").values) do
      ends[value[1]] = value.doc
    end
    assert.same(facts.ends, ends)
    assert.same(set(api.named(api.config.listen, "protocol").values), alias "Protocol")
    for _, fn in ipairs { class "Session".methods[1],
      api.named(api.named(api.modules, "moongate").functions, "log") } do
      assert.same(set { "error", "warn", "info", "debug" }, set(fn.arguments[1].values))
    end
  end)

  it("has the mechanisms that clients can use", function()
    local offered = {}
    for name in pairs(facts.mechanisms) do
      policy(("return { mechanisms = function() return { %q } end }"):format(name))
        :session {}:mechanisms()
      if not spec.logged():find("unknown mechanism", 1, true) then offered[name] = true end
    end
    assert.same(offered, alias "Mechanism")
    local _, errors = spec.open { config = [[
      local c = require "moongate.config"
      return c.gateway { c.listen "a" { address = "127.0.0.1:143", policy = "by_domain",
        mechanisms = { "NTLM" } } }]] }
    local configured = {}
    for name in errors:match "one of ([%w, -]+) expected":gmatch "[^%s,]+" do
      configured[name] = true
    end
    assert.same(configured, alias "Mechanism")
  end)

  it("has the mechanisms that upstreams are logged in by", function()
    local moongate, usable = require "moongate", {}
    for name in pairs(facts.mechanisms) do
      if pcall(moongate.login, { mechanism = name }) then usable[name] = true end
    end
    local login = api.named(api.decisions, "login")
    assert.same(usable, set(api.named(login.fields, "mechanism").values))
  end)
end)

-- Modules --------------------------------------------------------------------------

--- Lua files that are no modules of policies or configurations.
local INTERNAL = set { "console", "lines", "memoize", "overlay", "prelude", "quoted",
  "redis_table", "schema", "describe" }

--- What policies and configurations can require.
local function modules_there()
  local found = { moongate = true }
  for name in pairs(package.preload) do
    if name:match "^moongate%." and not name:match "%.host$" then found[name] = true end
  end
  local pipe = io.popen "cd lua/moongate && ls *.lua"
  for file in pipe:lines() do
    local name = file:match "^(.*)%.lua$"
    if name ~= "init" and not INTERNAL[name] then found["moongate." .. name] = true end
  end
  pipe:close()
  found["moongate.compat.ngx"] = true -- its parts are nobody else's
  return found
end

--- The functions and values in a module's table: "name" or "table.name".
local function members(module, prefix)
  local found = {}
  for name, value in pairs(core.thaw(module)) do
    if type(value) == "table" then
      for inner in pairs(members(value, prefix .. name .. ".")) do found[inner] = true end
    else
      found[prefix .. name] = true
    end
  end
  return found
end

local function described_members(module)
  local found = {}
  for _, fn in ipairs(module.functions) do found[fn[1]] = true end
  for _, value in ipairs(module.values or {}) do
    local link = value.link and api.named(api.modules, value.link)
    if link then
      for name in pairs(described_members(link)) do found[value[1] .. "." .. name] = true end
    elseif value[2] ~= "table" then
      found[value[1]] = true
    end
    for _, field in ipairs(value.fields or {}) do found[value[1] .. "." .. field[1]] = true end
  end
  for _, decision in ipairs(module.decisions and api.decisions or {}) do
    found[decision[1]] = true
  end
  return found
end

local function redis_pool()
  return require "moongate.redis".pool { url = "redis://127.0.0.1:1" }
end

--- An object of each class that has methods.
local MAKE = {
  Secret = function() return require "moongate.secret".of "x" end,
  Socket = function() return require "moongate.socket".tcp() end,
  Datagrams = function() return require "moongate.socket".udp() end,
  SharedDict = function() return require "moongate.shared".get "x" end,
  Timer = function() return require "moongate.timer".after(1000, "x", function() end) end,
  FileMap = function()
    return require "moongate.file".map("/etc/passwd", { fields = { "name", "rest" } })
  end,
  Child = function()
    local child
    spec.run(function() child = require "moongate".spawn(function() end) end)
    return child
  end,
  HashRing = function() return require "moongate.hash".ring { "a" } end,
  Memoized = function()
    return require "moongate".memoize(function() end, { name = "x", ttl = 1 })
  end,
  Bucket = function()
    return require "moongate.limit".bucket { dict = "limits", rate = "1/s" }
  end,
  Concurrent = function()
    return require "moongate.limit".concurrent { dict = "limits", limit = 1 }
  end,
  UpstreamHealth = function() return require "moongate".upstream "10.0.0.5:143" end,
  Pool = function() return require "moongate".pool "imap" end,
  Gateway = function() return policy "return {}" end,
  SpecSession = function() return policy "return {}":session {} end,
  SpecDecision = function() return policy "return {}":session {}:connect() end,
  RunningGateway = function() return setmetatable({}, require "moongate.spec.running".class) end,
  MailClient = function() return setmetatable({}, require "moongate.spec.mail_client".class) end,
  SpecClock = function() return policy "return {}".clock end,
  HttpMock = function() return policy "return {}".http end,
  DnsMock = function() return policy "return {}".dns end,
  SocketMock = function() return policy "return {}".socket end,
  AuthHttpMock = function() return policy "return {}".auth_http end,
  SqlMock = function() return policy "return {}".sql end,
  LdapMock = function() return policy "return {}".ldap end,
  RedisMock = function() return policy "return {}".redis end,
  SessionsMock = function() return policy "return {}".sessions end,
  RedisPool = function() return redis_pool() end,
  RedisPipeline = function()
    local pipeline
    redis_pool():pipeline(function(p) pipeline = p end)
    return pipeline
  end,
  RedisSubscription = function() return redis_pool():subscribe("x", function() end) end,
}

local function methods_of(object)
  local meta = debug.getmetatable(object)
  local index = meta.methods or meta.__index
  local found = {}
  for name in pairs(index) do
    if name:sub(1, 2) ~= "__" then found[name] = true end
  end
  return found
end

--- The methods of every type of userdata that C modules have registered.
local function registered()
  local found = {}
  for name, meta in pairs(debug.getregistry()) do
    if type(name) == "string" and name:match "^moongate%." and type(meta) == "table"
      and type(rawget(meta, "__index")) == "table" then
      found[name] = keys(meta.__index)
    end
  end
  return found
end

describe("the description of modules", function()
  it("has those that can be required", function()
    local described = {}
    for _, module in ipairs(api.modules) do described[module.name] = true end
    assert.same(modules_there(), described)
  end)

  for _, module in ipairs(api.modules) do
    it("has what is in " .. module.name, function()
      assert.same(members(require(module.name), ""), described_members(module))
    end)
  end

  it("has what policies find in moongate.config", function()
    local decision = policy [[
      local moongate = require "moongate"
      return { auth = function()
        return moongate.reject { log = type(moongate.config) }
      end }]]:session {}:login("a", "b")
    assert.equal("table", decision.reason)
  end)

  it("has the methods of every object", function()
    local seen = {}
    for _, one in ipairs(api.all_classes) do
      if MAKE[one[1]] then
        assert.same({ one[1], methods_of(MAKE[one[1]]()) }, { one[1], set(one.methods) })
      elseif one.methods and one[1] ~= "Session" and one[1] ~= "Credentials" then
        seen[one[1]] = set(one.methods)
      end
    end
    local there = registered()
    assert.same({ HttpResponse = there["moongate.http.response"], Database = there["moongate.sql"],
      Directory = there["moongate.ldap"] }, seen)
  end)

  it("has every type that is registered in C", function()
    local described = {}
    for _, one in ipairs(api.all_classes) do
      if one.methods then described[#described + 1] = set(one.methods) end
    end
    local count = 0
    for name, methods in pairs(registered()) do
      local found = name:match "^moongate%.spec%." ~= nil
      for _, one in ipairs(described) do found = found or pcall(assert.same, methods, one) end
      assert.is_true(found, name)
      count = count + 1
    end
    assert.is_true(count >= 5)
  end)

  it("says rightly what is a function itself", function()
    local called = {}
    for _, one in ipairs(api.all_classes) do
      if one.call then called[one[1]] = true end
    end
    assert.same({ AuthCheck = true, DovecotCheck = true, Memoized = true, Vars = true }, called)
    local check = require "moongate.auth_http".new { url = "http://127.0.0.1:1/" }
    assert.is_function(debug.getmetatable(check).__call)
  end)
end)

-- Options ---------------------------------------------------------------------------

local ARGUMENTS = { url = "http://127.0.0.1:1/", password = "x", hash = "x", name = "x",
  path = "/etc/passwd", text = "1", seconds = 1000, body = function() end,
  fn = function() end, nodes = { "a" } }

--- The message that one wrong option leads to.
local function message_of(module, fn, option)
  local arguments = {}
  for i, argument in ipairs(fn.arguments) do
    arguments[i] = argument.fields and { [option] = coroutine.create(print) }
      or argument.default or ARGUMENTS[argument[1]]
  end
  local ok, message = pcall(spec.run, function()
    require(module.name)[fn[1]](unpack(arguments, 1, #fn.arguments))
  end)
  return ok and "" or tostring(message)
end

--- The options that a function knows: an unknown one is answered with their names.
local function options_of(module, fn)
  local message, found = message_of(module, fn, "zzzzzzzzzzzz"), {}
  for name in assert(message:match "%(there are ([%w_, ]+)%)", message):gmatch "[%w_]+" do
    found[name] = true
  end
  return found
end

describe("the description of options", function()
  it("has those that each function knows", function()
    local count = 0
    for _, module in ipairs(api.modules) do
      local raises = module.name ~= "moongate.spec" and not module.configuration
      for _, fn in ipairs(raises and module.functions or {}) do
        local last = fn.arguments and fn.arguments[#fn.arguments]
        if last and last.fields then
          assert.same({ fn[1], options_of(module, fn) }, { fn[1], set(last.fields) })
          count = count + 1
        end
      end
    end
    assert.is_true(count >= 9)
  end)
end)

-- Environments -------------------------------------------------------------------------

local function inside(view) return debug.getmetatable(view).__index end

--- The members of a library of LuaJIT as it is without busted, which adds to some.
local function plain_members(name)
  local pipe = io.popen(("luajit -e 'for k in pairs(%s) do print(k) end'"):format(name))
  local found = {}
  for member in pipe:lines() do found[member] = true end
  pipe:close()
  return found
end

local function globals_of(environment)
  local found = {}
  for name, value in pairs(inside(environment)) do
    found[name] = true
    if type(value) == "table" and name ~= "_G" then
      local library = inside(value)
      found[name] = library == _G[name] and plain_members(name) or keys(library)
    end
  end
  return found
end

describe("the description of globals", function()
  it("has those of policies", function()
    assert.same(globals_of(core.environment), api.globals "policy")
  end)

  it("has those of configurations", function()
    assert.same(globals_of(core.config_environment), api.globals "configuration")
  end)
end)

-- The configuration -----------------------------------------------------------------------

--- A view of a section that notes each key that is looked at: C uses lua_getfield.
local function watched(section, name, seen)
  return setmetatable({}, { __index = function(_, key)
    seen[name .. "." .. tostring(key)] = true
    return section[key]
  end })
end

--- The checked configuration with every section in it watched.
local function watch(value, name, seen)
  local copy = {}
  for key, inner in pairs(value) do copy[key] = inner end
  for _, field in ipairs(api.config[name]) do
    local section, inner = api.section_of(field), value[field[1]]
    if section and field[2] == "section" and inner then
      copy[field[1]] = watch(inner, section, seen)
    elseif section and inner then
      copy[field[1]] = {}
      for each, one in pairs(inner) do copy[field[1]][each] = watch(one, section, seen) end
    end
  end
  return watched(copy, name, seen)
end

--- Keys that are read by something else than the C code that reads a configuration.
local ELSEWHERE = set { "gateway.settings", "listen.policy", "listen.shadow", "shared_table.user",
  "shared_table.password", "shared_table.database", "shared_table.profile",
  "shared_table.server_name", "shared_table.sentinel", "shared_table.timeout",
  "shared_table.size", "shared_table.prefix", "shared_sentinel.addresses", "shared_sentinel.name",
  "shared_sentinel.user", "shared_sentinel.password" }
--- Keys that are looked for and that nobody writes: what the checker adds, and what the functions
-- that read `tls` look for in a profile too.
local ADDED = set { "gateway.listen", "listen.name", "tls_profile.trusted_ca",
  "tls_profile.stapling", "tls_profile.stapling_file", "tls_profile.stapling_responder" }

--- A checked configuration in which everything is there that can be.
local function checked_configuration(authority, leaf)
  local c = require "moongate.config"
  local text = core.text
  core.text = function() return "" end
  finally(function()
    core.text, core.config, core.gateway_report = text, nil, nil
  end)
  local identity = { certificate = leaf.certificate, key = leaf.key, stapling = true }
  local gateway, errors = core.finish_config(c.gateway {
    log = { also = { "stderr" } },
    certificates = { x = identity },
    control = { socket = "/run/moongate/control.sock" },
    tls_profiles = { default = { ca = authority.certificate, certificate = leaf.certificate,
      key = leaf.key } },
    pools = { x = { "127.0.0.1:110" } },
    shared = { x = "1m" },
    c.listen "a" {
      address = "127.0.0.1:110", policy = "x", upstream = "pool:x",
      proxy_protocol = { from = "10.0.0.0/8" },
      tls = { certificate = leaf.certificate, key = leaf.key, names = { y = identity } },
    },
  }, "moongate.lua")
  return assert(gateway, errors)
end

describe("the description of the configuration", function()
  it("has the keys that the program reads, and no other", function()
    local authority = ca.new()
    finally(function() authority:remove() end)
    local seen, listeners, unread = {}, {}, {}
    local gateway = checked_configuration(authority, authority:leaf { names = { "DNS:x.test" } })
    for i, listener in ipairs(gateway.listen) do listeners[i] = watch(listener, "listen", seen) end
    local view = watch(gateway, "gateway", seen)
    rawset(view, "listen", listeners)
    assert(host.read_configuration(view))

    for _, section in ipairs(api.sections()) do
      for _, field in ipairs(section.fields) do
        local key = section[1] .. "." .. field[1]
        if not seen[key] and not ELSEWHERE[key] then unread[#unread + 1] = key end
        seen[key] = nil
      end
    end
    for key in pairs(ADDED) do seen[key] = nil end
    assert.same({}, unread)
    assert.same({}, seen)
  end)
end)
