--- `moongate check`: all that can be said of a configuration before it serves anybody.
local findings = require "moongate.check.findings"
local host = require "moongate.check.host"
local options = require "moongate.command.options"
local origins = require "moongate.nginx.origins"
local reached = require "moongate.check.reached"
local scan = require "moongate.check.scan"
local second_look = require "moongate.check.strict"

local DEFAULT = "/etc/moongate/moongate.lua"

local HELP = [[
Usage: moongate check [OPTION...]
       moongate check --nginx FILE [-p PREFIX] [OPTION...]

Reads the configuration, every policy and every file they need, as run does,
and looks at policies also where no login has led yet.

  -c, --config FILE     configuration (]] .. DEFAULT .. [[)
      --env NAME        lay env/NAME.lua, beside it, over it
      --nginx FILE      check what `run --nginx` makes of this nginx.conf; what
                        is found is told at its lines
  -p, --prefix PREFIX   with --nginx: what paths of logs are relative to
      --strict          also warn of what wants a second look: secrets that
                        are revealed, credentials that are retained, errors
                        that end as "no opinion", modules that block
      --connect         try every upstream and auth server that is named
      --timeout SECONDS for one of them (5)
      --format FORMAT   of what is found: text, gcc or json
      --print           write the configuration that results, if it is right,
                        and where each value comes from; secrets, and what by
                        its name may be one, are not shown
      --help            this text

Findings are "file:line:column: level: message [code]", on standard error; as
json they are an array of objects on standard output.

Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage or, with
--strict, only warnings.
]]

local hooks = {} -- by name, as lua/api describes them
for _, hook in ipairs(require "api.hooks") do hooks[hook[1]] = hook end

-- On which listeners some hooks are asked; the others are on all.
local function speaks_smtp(listener) return listener.protocol == "smtp" end
local function has_logins(listener) return listener.auth ~= "none" end
local function has_none(listener) return listener.auth == "none" end
local function offers_scram(listener)
  for _, mechanism in ipairs(listener.mechanisms or {}) do
    if mechanism:find "^SCRAM" then return true end
  end
  return false
end

local ASKED = {
  certificate = { on = function(listener) return listener.tls ~= nil end, where = "has tls" },
  secured = { on = function(listener) return listener.tls and listener.tls ~= "implicit" end,
    where = "offers STARTTLS" },
  mechanisms = { on = has_logins, where = "has logins" },
  helo = { on = speaks_smtp, where = "speaks SMTP" },
  mail = { on = has_none, where = "speaks SMTP with auth = \"none\"" },
  rcpt = { on = has_none, where = "speaks SMTP with auth = \"none\"" },
  verifier = { on = offers_scram, where = "has a SCRAM among its mechanisms" },
  auth = { on = has_logins, where = "has logins" },
}

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

--- Whether any listener that has the policy asks for the hook.
local function is_asked(policy, name, listeners)
  for _, listener in ipairs(listeners) do
    if has(listener.policy, policy.name) and ASKED[name].on(listener) then return true end
  end
  return false
end

local function check_hook(found, policy, name, facts, listeners)
  local given = #hooks[name].arguments
  if facts.parameters > given then
    found:add { path = policy.path, line = facts.line, level = "warning", code = "arity",
      word = name, message = ("hook \"%s\" declares %d parameters and is called with %d")
        :format(name, facts.parameters, given) }
  end
  -- Those that come with Moongate are for every kind of listener.
  if not ASKED[name] or policy.shipped or #listeners == 0 then return end
  if not is_asked(policy, name, listeners) then
    found:add { path = policy.path, line = facts.line, level = "warning", code = "unused-hook",
      word = name, message = ("hook \"%s\" is never asked: no listener with this policy %s")
        :format(name, ASKED[name].where) }
  end
end

local function check_policies(found, result, listeners)
  for _, policy in ipairs(result.policies or {}) do
    for name, facts in pairs(policy.hooks) do check_hook(found, policy, name, facts, listeners) end
  end
end

--- Without the hook a SCRAM that a listener lists is not offered.
local function check_scram(found, result, listeners)
  for _, listener in ipairs(listeners) do
    local has_hook = false
    for _, policy in ipairs(result.policies or {}) do
      has_hook = has_hook or policy.hooks.verifier ~= nil and has(listener.policy, policy.name)
    end
    if offers_scram(listener) and not has_hook then
      found:add { path = listener.path, line = listener.line, level = "warning",
        code = "no-verifier", word = "policy",
        message = ("listen \"%s\": SCRAM is not offered: no policy has the hook \"verifier\"")
          :format(listener.name) }
    end
  end
end

local function add_all(found, file, level, list)
  for _, finding in ipairs(list) do found:add(finding, { path = file.path, level = level }) end
end

--- Whether some file has `ngx`: others are loaded by it, and have it too.
local function has_ngx(result)
  for _, file in ipairs(result.files or {}) do
    if scan.requires(file.text, "moongate.compat.ngx") then return true end
  end
  return false
end

local function check_files(found, result, strict)
  local with_ngx = has_ngx(result)
  for _, file in ipairs(result.files or {}) do
    local is_policy = file.kind == "policy" or file.kind == "module"
    add_all(found, file, "error", scan.globals(file.text, file.kind, is_policy and with_ngx))
    add_all(found, file, "error", scan.calls(file.text, file.kind))
    if strict and is_policy then add_all(found, file, "warning", second_look(file.text)) end
  end
end

--- Settings that a policy asks for later than while it loads have their name in its text.
local function is_named(result, name)
  for _, file in ipairs(result.files) do
    local policy = file.kind == "policy" or file.kind == "module"
    for _, quote in ipairs { "\"", "'" } do
      if policy and file.text:find(quote .. name .. quote, 1, true) then return true end
    end
  end
  return false
end

local function check_settings(found, result, unread)
  for _, setting in ipairs(unread) do
    if not is_named(result, setting.name) then
      found:add { path = setting.path, line = setting.line, level = "warning", word = setting.name,
        code = "unread-setting",
        message = ("settings.%s: no policy reads it"):format(setting.name) }
    end
  end
end

local function check_certificates(found, result, listing)
  for _, certificate in ipairs(result.certificates or {}) do
    local place = { path = certificate.name }
    for _, value in ipairs(listing.values or {}) do
      local is_name = value.key:match "%.certificate$"
      if is_name and value.path and value.text:find(("%q"):format(certificate.name), 1, true) then
        place = value
        break
      end
    end
    found:add { path = place.path, line = place.line, level = certificate.level,
      code = "certificate", word = "certificate",
      message = ("certificate %s: %s"):format(certificate.name, certificate.text) }
  end
end

--- A path as an operator would type it beside moongate.lua.
local function short(path, folder)
  local inside = folder and path:sub(1, #folder + 1) == folder .. "/"
  return inside and path:sub(#folder + 2) or path
end

local function print_values(listing, place)
  local folder = listing.path and listing.path:match "^(.*)/"
  for _, value in ipairs(listing.values or {}) do
    if place and value.path then value.path, value.line = place(value.path, value.line) end
    io.stdout:write(("%s = %s -- %s\n"):format(value.key, value.text, value.path
      and ("%s:%d"):format(short(value.path, folder), value.line) or "default"))
  end
end

local function examine(result, given)
  local listing = result.listing or {}
  local found = findings.new(result, given.path)
  found:add_errors(result.errors)
  if result.failure then
    found:add { path = given.path, level = "error", code = "internal", message = result.failure }
  end
  check_files(found, result, given.strict)
  check_policies(found, result, listing.listeners or {})
  if not result.errors then check_scram(found, result, listing.listeners or {}) end
  check_certificates(found, result, listing)
  if not result.errors then check_settings(found, result, listing.unread or {}) end
  if given.connect and not result.errors then reached.try(found, result, given.timeout) end
  return found
end

local function report(found, given)
  local text = found:text(given.format)
  if given.format == "json" then
    io.stdout:write(text)
  elseif text ~= "" then
    io.stderr:write(text)
  elseif not given.print then
    io.stdout:write(given.path, ": nothing is wrong\n")
  end
  if found:count "error" > 0 then return 1 end
  return given.strict and found:count "warning" > 0 and 2 or 0
end

local FIELDS = { command = "check", help = HELP,
  { "config", "c", value = true }, { "env", value = true }, { "nginx", value = true },
  { "prefix", "p", value = true }, { "strict" }, { "connect" },
  { "timeout", value = true }, { "format", value = true }, { "print" } }

local given, rest = options.read({ ... }, FIELDS)
if not given then return rest end
given.path = given.nginx or given.config or DEFAULT
given.format = given.format or "text"
given.timeout = tonumber(given.timeout or 5)
if rest[1] then
  return options.wrong("check", ("%q is one argument too many"):format(rest[1]))
elseif not has({ "text", "gcc", "json" }, given.format) then
  return options.wrong("check", ("%q is no format: text, gcc or json"):format(given.format))
elseif not given.timeout or given.timeout <= 0 or given.timeout > 60 then
  return options.wrong("check", "--timeout: seconds expected, up to 60")
elseif given.print and given.format == "json" then
  return options.wrong("check", "--print writes text: no --format json with it")
end

local result = host.evaluate(given.path, given.env, given.nginx ~= nil, given.prefix)
result.place = given.nginx and origins.finder(result.files or {})
-- What is wrong results in nothing; and only a policy that was loaded tells what is secret.
if given.print and not result.errors then print_values(result.listing, result.place) end
return report(examine(result, given), given)
