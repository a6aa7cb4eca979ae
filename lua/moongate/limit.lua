--- Limits on a table that all workers share: so many in a time, so many at once.
local core = require "moongate.core"
local shared = require "moongate.shared"

local limit = {}

local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }

local function check_fields(what, given, known)
  given = core.thaw(given)
  if type(given) ~= "table" then error(what .. ": a table expected", 3) end
  local names = {}
  for name in known:gmatch "%a+" do names[name] = true end
  for name in pairs(given) do
    if not names[name] then
      error(("%s: unknown field \"%s\" (there are %s)"):format(what, tostring(name), known), 3)
    end
  end
  if type(given.dict) ~= "string" then error(what .. ": dict: the name of one is needed", 3) end
  if given.name ~= nil and type(given.name) ~= "string" then
    error(what .. ": name: a text expected", 3)
  end
  return given
end

local function check_integer(what, name, value, least)
  if type(value) ~= "number" or value % 1 ~= 0 or value < least or value > 1e6 then
    error(("%s: %s: a whole number from %d to 1000000 expected"):format(what, name, least), 3)
  end
  return value
end

--- "10/m" as tokens a second.
local function check_rate(rate)
  local count, unit = tostring(rate):match "^(%d+)/([smhd])$"
  count = tonumber(count)
  if not count or count < 1 or count > 1e6 then
    error("limit.bucket: rate: \"10/m\" expected: a number from 1 to 1000000, and s, m, h or d", 3)
  end
  return count / UNITS[unit]
end

--- An object with these methods; its keys are NAME:KEY.
local function object(methods, name, dict)
  local prefix = name .. ":"
  local function key_of(key)
    if core.is_secret(key) then error("a Secret is no key: use secret:hmac(key)", 3) end
    return prefix .. key
  end
  local bound = {}
  for method, fn in pairs(methods) do
    bound[method] = function(_, key, ...) return fn(dict, key_of(key), ...) end
  end
  return setmetatable({}, { __index = bound, __metatable = false,
    __newindex = function() error("a limit can't be changed", 2) end })
end

--- Tokens that come at a rate: { dict =, rate = "10/m", burst =, name = }.
function limit.bucket(options)
  local given = check_fields("limit.bucket", options, "dict, rate, burst, name")
  local rate = check_rate(given.rate)
  local burst = check_integer("limit.bucket", "burst", given.burst or 1, 1)
  return object({
    take = function(dict, key) return dict:take(key, rate, burst) end,
  }, given.name or given.rate, shared.get(given.dict))
end

--- Places that sessions hold until they end: { dict =, limit =, name = }.
function limit.concurrent(options)
  local given = check_fields("limit.concurrent", options, "dict, limit, name")
  local most = check_integer("limit.concurrent", "limit", given.limit, 0)
  return object({
    take = function(dict, key, session) return dict:lease(key, most, session) end,
    give_back = function(dict, key, session) return dict:give_back(key, session) end,
    held = function(dict, key) return dict:leased(key) end,
  }, given.name or "held", shared.get(given.dict))
end

return limit
