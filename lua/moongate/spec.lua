--- Tests policies without sockets: real hooks, decisions and sessions, in this process.
--
--     local spec = require "moongate.spec"        -- run by `moongate lua /usr/bin/busted ...`
--     local gateway = spec.policy { "by_domain",
--       settings = { by_domain = { ["example.org"] = "10.0.0.5:143" } } }
--     local d = gateway:session { user = "erin@example.org" }:route()
--     assert.decision(d).is_to { address = "10.0.0.5:143" }
--
-- The configuration is written to a temporary folder and goes the whole way of
-- production: evaluated, bundled, built. Policies run in a Lua state of their own.
local host = require "moongate.spec.host"

local spec = {}

--- Runs `fn` as a hook runs: it may wait. Returns what it returns.
function spec.run(fn, seconds) return host.run(seconds or 10, fn) end

--- What the host has logged since the last call.
function spec.logged() return host.logged() end

local function literal(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local words = {}
  for k, v in pairs(value) do
    words[#words + 1] = ("[%s] = %s"):format(literal(k), literal(v))
  end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function run(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read "*l"
  pipe:close()
  return output
end

local function write(folder, name, text)
  local parent = name:match "^(.*)/"
  if parent then run(("mkdir -p '%s/%s'"):format(folder, parent)) end
  local file = assert(io.open(folder .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

local function configuration(options)
  local names = {}
  for i, name in ipairs(options) do names[i] = ("%q"):format(name) end
  local listen = options.listen or {}
  local protocol = listen.protocol or "imap"
  return ([[
local c = require "moongate.config"
return c.gateway {
  settings = %s,
  c.listen "spec" {
    protocol = %q, policy = { %s }, address = "127.0.0.1:0",
    %s
  },
}
]]):format(literal(options.settings or {}), protocol, table.concat(names, ", "),
    options.listener or "")
end

local Session = {}
Session.__index = Session

--- Runs one hook; `options` change what the session knows.
function Session:ask(hook, options) return self.real:ask(hook, options or {}) end

--- The verdict of `auth` on a PLAIN login.
function Session:login(user, password)
  return self:ask("auth", { user = user, password = password, mechanism = "PLAIN" })
end

for _, hook in ipairs { "connect", "helo", "auth", "route", "mail", "rcpt", "connect_failed",
  "upstream_auth", "upstream_refused", "spliced", "closed" } do
  Session[hook] = function(self, options) return self:ask(hook, options) end
end

--- Begins a hook and cancels it as when the client goes; whether it was waiting.
function Session:cancel(hook) return self.real:cancel(hook) end

--- The set of mechanisms that are offered.
function Session:mechanisms() return self.real:mechanisms() end

--- The user as the policies have left it.
function Session:user() return self.real:user() end

local Gateway = {}
Gateway.__index = Gateway

--- A session that has no sockets: user, password, mechanism, client, helo, mail, rcpt ...
function Gateway:session(options)
  return setmetatable({ real = self.real:session(options or {}) }, Session)
end

function Gateway:init() return self.real:init() end

--- How often something was counted, `name` with its labels.
function Gateway:counter(name) return self.real:counter(name) end

--- How many hooks have run, and how many of them failed by a policy's mistake.
function Gateway:totals() return self.real:totals() end

--- Whether the memory of its Lua state was full twice within a minute.
function Gateway:exhausted() return self.real:exhausted() end

--- Builds the next generation from the same files; sessions go on in it.
function Gateway:renew() return self.real:renew() end

--- Builds a gateway from the named policies, or returns nil and all errors.
--
-- `files` are written beside moongate.lua (["scripts/x.lua"] = text); `listener` is text of
-- further keys of the listener; `config` is the text of a whole moongate.lua instead.
function spec.open(options)
  local folder = run "mktemp -d /tmp/moongate-spec.XXXXXX"
  for name, text in pairs(options.files or {}) do write(folder, name, text) end
  write(folder, "moongate.lua", options.config or configuration(options))
  local real, errors = host.open(folder .. "/moongate.lua")
  run(("rm -rf '%s'"):format(folder))
  if not real then return nil, (errors:gsub(folder:gsub("%p", "%%%0") .. "/", "")) end
  return setmetatable({ real = real, folder = folder }, Gateway)
end

--- As `open`, but raises the errors.
function spec.policy(options)
  local gateway, errors = spec.open(options)
  return gateway or error(errors, 2)
end

-- Assertions ------------------------------------------------------------------

local function describe(decision)
  local words = {}
  for name, value in pairs(decision) do
    if value ~= false and value ~= 0 and name ~= "tls" then
      words[#words + 1] = name .. "=" .. (type(value) == "table" and "{...}" or tostring(value))
    end
  end
  table.sort(words)
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function expect(decision, kind, fields)
  if decision.kind ~= kind then
    error(("a decision `%s` expected, but it is %s"):format(kind, describe(decision)), 3)
  end
  for name, value in pairs(fields or {}) do
    if decision[name] ~= value then
      error(("%s = %s expected, but the decision is %s"):format(name, tostring(value),
        describe(decision)), 3)
    end
  end
end

--- assert.decision(d).is_accept { user = "..." }, is_reject, is_tempfail, is_wait, is_to,
-- is_retry, is_login, is_none.
local function decision_assertions(decision)
  local checks = {}
  for _, kind in ipairs { "accept", "reject", "tempfail", "wait", "to", "retry", "login" } do
    checks["is_" .. kind] = function(fields) expect(decision, kind, fields) end
  end
  function checks.is_none() expect(decision, "nil") end
  return checks
end

local found, luassert = pcall(require, "luassert")
if found then rawset(luassert, "decision", decision_assertions) end
spec.decision = decision_assertions

return spec
