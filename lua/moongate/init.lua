--- What every policy requires: `local moongate = require "moongate"`.
local core = require "moongate.core"
local schema = require "moongate.schema"

local moongate = {
  accept = core.accept, reject = core.reject, tempfail = core.tempfail, wait = core.wait,
  to = core.to, retry = core.retry, login = core.login, certificate = core.certificate,
  verifier = core.verifier,
  upstream = core.upstream, pool = core.pool,
  spawn = core.spawn, detach = core.detach, memoize = require "moongate.memoize",
  purge = core.purge,
  now = core.now, time = core.time, sleep = core.sleep,
  log = core.log, count = core.count,
  secret = { file = core.secret_file, env = core.secret_env, command = core.secret_command,
    of = core.secret },
  config = core.config,
}

--- The part of the configuration that is called `name`, checked.
--
-- `description` is { values = type } for a table with names of any kind,
-- { key = type or { type, default =, required = } } for known keys, or nil.
-- What is wrong is reported with its line in moongate.lua.
function moongate.settings(name, description)
  if not core.config then error("settings: there is no configuration here", 2) end
  local value = core.thaw(core.thaw(core.config).settings)[name]
  local errors = {}
  local report = core.gateway_report:apart(errors)
  report.targets = {}
  local result = schema.settings(core.thaw(value) or {}, description, report,
    { "settings", name })
  if #errors > 0 then error(schema.text(errors), 0) end
  core.settings_read[name] = { result = result, targets = report.targets } -- for the listing
  return core.freeze(result)
end

return core.freeze(moongate)
