--- Tests policies without sockets: real hooks, decisions and sessions, in this process.
--
--     local spec = require "moongate.spec"        -- run by `moongate test`
--     local gw = spec.policy { "by_domain",
--       settings = { by_domain = { ["example.org"] = "10.0.0.5:143" } } }
--     local d = gw:session { user = "erin@example.org" }:route()
--     assert.decision(d).is_to { address = "10.0.0.5:143" }
--
-- The configuration is written to a temporary folder and goes the whole way of
-- production: evaluated, bundled, built. Policies run in a Lua state of their own, on a
-- loop whose time takes none, and whose network is what the spec says it is.
local configuration = require "moongate.spec.configuration"
local coverage = require "moongate.spec.coverage"
local folder = require "moongate.spec.folder"
local host = require "moongate.spec.host"
local network = require "moongate.spec.network"

local spec = {}

--- Runs `fn` as a hook runs: it may wait. Returns what it returns.
function spec.run(fn, seconds) return host.run(seconds or 10, fn) end

--- What the host has logged since the last call.
function spec.logged() return host.logged() end

-- Decisions -------------------------------------------------------------------

local Decision = {}
Decision.__index = Decision

--- What a client is told of a refusal, without its tag: in `protocol`, or in the session's own.
function Decision:wire(protocol)
  protocol = protocol or self.protocol
  if not self.wires then
    error(("only a refusal is told by the gateway, and this is: %s"):format(self.kind), 2)
  end
  return self.wires[protocol] or error(("no such protocol: %s"):format(tostring(protocol)), 2)
end

local function decision(session, verdict)
  verdict.protocol = session.protocol
  return setmetatable(verdict, Decision)
end

-- Sessions --------------------------------------------------------------------

local Session = {}
Session.__index = Session

--- Runs one hook; `options` change what the session knows.
function Session:ask(hook, options) return decision(self, self.real:ask(hook, options or {})) end

--- A whole login, as the session takes it: `connect` and `secured` first, if it is the session's
-- first; then `auth` as often as it says wait, and `route`; in SCRAM `verifier` before these. The
-- decision of an accept tells where
-- the login goes. `options`: mechanism, authzid, response, challenge.
function Session:login(user, password, options)
  local given = { user = user, password = password, mechanism = "PLAIN" }
  for name, value in pairs(options or {}) do given[name] = value end
  return decision(self, self.real:login(given))
end

for _, hook in ipairs { "certificate", "connect", "secured", "helo", "verifier", "auth", "route",
  "mail", "rcpt", "connect_failed", "upstream_auth", "upstream_refused", "refused", "spliced",
  "closed" } do
  Session[hook] = function(self, options) return self:ask(hook, options) end
end

--- Begins a hook and cancels it as when the client goes; whether it was waiting.
function Session:cancel(hook) return self.real:cancel(hook) end

--- The set of mechanisms that are offered.
function Session:mechanisms() return self.real:mechanisms() end

--- The user as the policies have left it.
function Session:user() return self.real:user() end

--- Why the session is over ("refused", "too_many_attempts"), or nil.
function Session:ended() return self.real:ended() end

-- Gateways --------------------------------------------------------------------

local Gateway = {}
Gateway.__index = Gateway

--- A session that has no sockets: protocol, user, password, mechanism, client, tls, helo, mail ...
-- `tls = { sni =, version =, cipher =, client_cert = {}, starttls = true }`.
function Gateway:session(options)
  options = options or {}
  return setmetatable({ real = self.real:session(options), protocol = options.protocol
    or self.protocol }, Session)
end

function Gateway:init() return self.real:init() end

--- How often something was counted, `name` with its labels.
function Gateway:counter(name) return self.real:counter(name) end

--- How many hooks have run, and how many of them failed by a policy's mistake.
function Gateway:totals() return self.real:totals() end

--- Whether the memory of its Lua state was full twice within a minute.
function Gateway:exhausted() return self.real:exhausted() end

--- What has happened, in its order, as texts "0.000 hook auth -> accept": { at =, name =,
-- decision =, kind = "hook"|"http"|"dns"|"socket"|"auth_http"|"redis"|"sql"|"ldap"|
-- "sessions" }.
function Gateway:calls() return self.network.calls end

--- Lays the options out on the disk while `fn(path of moongate.lua, options)` reads them.
local function laid_out(options, fn)
  local plan = configuration.plan(options)
  local top = folder.make(plan.project, plan.scripts, plan.files)
  local ok, result, errors = pcall(fn, top .. "/moongate.lua", {
    environment = options.environment, live = options.live,
  })
  folder.remove(top)
  if not ok then error(result, 0) end
  return result, errors and (errors:gsub(top:gsub("%p", "%%%0") .. "/", ""))
end

--- The next generation, from the files that have changed: true; or nil and the errors, and the
-- old one goes on. Timers of the old one end, and its upvalues; `vars` of sessions stay.
function Gateway:reload(files)
  local options = {}
  for k, v in pairs(self.options) do options[k] = v end
  options.files = {}
  for _, from in ipairs { self.options.files or {}, files or {} } do
    for name, text in pairs(from) do options.files[name] = text end
  end
  local ok, errors = laid_out(options, function(path, more)
    local ok, errors = self.real:reload(path, more)
    if ok then coverage.note(self.real:files()) end
    return ok, errors
  end)
  if ok then self.options = options end
  return ok, errors
end

local function noted(real, errors)
  if real then coverage.note(real:files()) end
  return real, errors
end

local Clock = { methods = {} }

function Clock.__index(clock, name)
  if name == "now" then return clock.real:now() end
  return Clock.methods[name]
end

--- Lets time pass: timers run, and what they wait for.
function Clock.methods:advance(seconds) self.real:advance(seconds) end

--- Builds a gateway from the named policies, or returns nil and all errors.
--
-- Each is a name, or the path of a file. `settings` are theirs; `listener` is text of further
-- keys of the listener; `files` are written beside moongate.lua (["scripts/x.lua"] = text).
-- `config` is a whole moongate.lua instead, by its path or its text; policies that are named
-- beside it stand in for those of its listeners. `environment` is laid over it. With `live` the
-- time and the network are the machine's.
function spec.open(options)
  local world = network.new()
  local real, errors = laid_out(options, function(path, more)
    return noted(host.open(path, more, function(...) return world:answer(...) end))
  end)
  if not real then return nil, errors end
  world.now = function() return real:now() end
  return setmetatable({
    real = real, options = options, network = world,
    protocol = (options.listen or {}).protocol or "imap",
    clock = setmetatable({ real = real }, Clock),
    http = world.http, dns = world.dns, socket = world.socket, auth_http = world.auth_http,
    sql = world.sql, ldap = world.ldap, redis = world.redis, sessions = world.sessions,
  }, Gateway)
end

--- As `open`, but raises the errors.
function spec.policy(options)
  local gateway, errors = spec.open(options)
  return gateway or error(errors, 2)
end

--- The real program with the same options: see lua/moongate/spec/running.lua.
function spec.gateway(options) return require("moongate.spec.running").start(options) end

if pcall(require, "luassert") then require "moongate.spec.assertions" end

return spec
