--- The fields that Dovecot's passdbs give, as a table by their names.
--
-- A flag is there or not: true, "" and yes in Dovecot's spellings are there, nil and false are not.
local core = require "moongate.core"

local fields = {}

local function complain(name, expected)
  error(("dovecot: %s: %s expected"):format(name, expected), 0)
end

local YES = { [""] = true, y = true, yes = true, ["1"] = true, ["true"] = true }

--- Anything else than a clear yes would be a guess: Dovecot itself takes "no" for one.
local function flag(name, value)
  if value == nil or value == false then return nil end
  if value == true or YES[tostring(value):lower()] then return true end
  complain(name, "yes, or nothing")
end

local function text(name, value)
  if type(value) ~= "string" or value == "" then complain(name, "a text") end
  return value
end

local function secret(name, value)
  if core.is_secret(value) then return value end
  return core.secret(text(name, value))
end

local function integer(name, value)
  local number = tonumber(value)
  if not number or number % 1 ~= 0 or number < 0 then complain(name, "a whole number") end
  return number
end

local UNITS = { ms = 0.001, msec = 0.001, msecs = 0.001, s = 1, sec = 1, secs = 1, m = 60, min = 60,
  mins = 60, h = 3600, hour = 3600, hours = 3600, [""] = 1 }

--- "30 secs"; a bare number is seconds.
local function interval(name, value)
  local number, unit = tostring(value):lower():match "^(%d+)%s*(%a*)$"
  local seconds = number and UNITS[unit] and tonumber(number) * UNITS[unit]
  if not seconds or seconds <= 0 then complain(name, "a time, such as \"30 secs\",") end
  return seconds
end

--- "yes" or "any-cert".
local function tls(name, value)
  if tostring(value):lower() == "any-cert" then return "any-cert" end
  return flag(name, value) and "yes"
end

--- When it may go on: a time of day in seconds, plus up to so many.
local function delay_until(name, value)
  local at, more = tostring(value):match "^(%d+)%+?(%d*)$"
  if not at then complain(name, "\"seconds\" or \"seconds+seconds\"") end
  return tonumber(at) + (more ~= "" and core.random() % (tonumber(more) + 1) or 0)
end

local function port(name, value)
  local number = integer(name, value)
  if number < 1 or number > 65535 then complain(name, "a port") end
  return number
end

--- What is known and changes nothing here.
local function nothing() return nil end

local READ = {
  user = text, original_user = nothing, auth_user = nothing, master_user = nothing,
  proxy = flag, proxy_maybe = flag, host = text, hostip = text, port = port, ssl = tls,
  starttls = tls, source_ip = text, destuser = text, master = text, pass = secret,
  proxy_mech = text, proxy_timeout = interval, proxy_noauth = flag, proxy_not_trusted = flag,
  proxy_nopipelining = nothing, proxy_refresh = nothing, proxy_redirect_reauth = nothing,
  proxy_host_immediate_failure_after = nothing, proxy_no_multiplex = nothing,
  nologin = flag, nodelay = nothing, delay_until = delay_until, reason = text, code = text,
  temp = flag, authz = flag, user_disabled = flag, pass_expired = flag,
}

local PREFIXES = { forward = text, user = nothing, event = nothing }

--- Checks a table of fields and returns one with values of Lua; raises, and names what it does not
-- know, as what it means is unknown, too.
function fields.read(given)
  if type(core.thaw(given)) ~= "table" then error("dovecot: a table of fields expected", 0) end
  local result = {}
  for name, value in pairs(given) do
    local read = READ[name] or PREFIXES[tostring(name):match "^(%l+)_." or ""]
    if not read then error(("dovecot: unknown field %q"):format(tostring(name)), 0) end
    result[name] = read(name, value)
  end
  return result
end

return fields
