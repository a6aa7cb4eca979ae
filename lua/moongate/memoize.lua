--- `moongate.memoize`: a function that remembers its results.
--
-- One caller asks, and all others with the same arguments wait at its gate. When the caller is
-- cancelled the gate opens without an answer, and the next one asks.
--
-- A recording has what a call has come to by other means than asking; a replay takes it from there,
-- whatever is remembered by then.
local core = require "moongate.core"
local json = require "moongate.json"

local DEFAULTS = { capacity = 10000, negative_ttl = 0 }
local LIMITS = { ttl = { 0.001, 86400 * 365 }, negative_ttl = { 0, 86400 * 365 },
  capacity = { 1, 1000000 } }

local NAMES = "name, ttl, negative_ttl, capacity, persist"

local function check_option(name, value)
  local limit = LIMITS[name]
  if limit and (type(value) ~= "number" or not (value >= limit[1] and value <= limit[2])) then
    error(("memoize: %s: a number from %g to %g expected"):format(name, unpack(limit)), 4)
  elseif not limit and name ~= "name" and name ~= "persist" then
    error(("memoize: unknown field \"%s\" (there are %s)"):format(tostring(name), NAMES), 4)
  end
end

local function check_options(given)
  local options = {}
  if type(given) ~= "table" then error("memoize: a table of options expected", 3) end
  for name, value in pairs(DEFAULTS) do options[name] = value end
  for name, value in pairs(given) do
    check_option(name, value)
    options[name] = value
  end
  if type(options.name) ~= "string" then error("memoize: a name is needed", 3) end
  if not options.ttl then error("memoize: ttl is needed", 3) end
  return options
end

--- A value as a text; "" is nil.
local function encode(value)
  return value == nil and "" or json.encode(core.thaw(value))
end

local function decode(text)
  if text == "" then return nil end
  return (json.decode(text))
end

local function memoize(fn, given)
  if type(fn) ~= "function" then error("memoize: a function expected", 2) end
  local options = check_options(given)
  local store = core.memo(options.name, math.floor(options.capacity), options.persist)
  local flights = {} -- by key: who asks now
  local what = "memoize " .. options.name

  local function keep(flight, key, value)
    local seconds = value and options.ttl or options.negative_ttl
    flight.text = encode(value)
    if seconds > 0 and flight.purges == store:purges() then
      store:put(key, flight.text, seconds)
    end
  end

  -- What a call has come to: (true, value, err), or (false, error).
  local function land(flight, key, ok, value, err)
    if ok and (value ~= nil or err == nil) then
      ok, err = pcall(keep, flight, key, value)
      if ok then value = decode(flight.text) else value = err end
    end
    if not ok then flight.raised = tostring(value) end
    flight.err = err
    if flights[key] == flight then flights[key] = nil end
    flight.gate:open()
    if not ok then error(value, 0) end
    return value, err
  end

  local function ask(key, ...)
    core.note(what, "asks")
    local flight = { gate = core.gate(), purges = store:purges() }
    flights[key] = flight
    return land(flight, key, pcall(fn, ...))
  end

  local function known(how, value, err)
    core.note(what, how, value, err)
    return value, err
  end

  local function call(_, ...)
    local key = store:key(...)
    local recorded, value, err = core.recall(what)
    if recorded then return value, err end
    if recorded == false then return ask(key, ...) end
    while true do
      local text = store:get(key)
      if text then return known("remembered", decode(text)) end
      local flight = flights[key]
      if not flight or flight.gate:is_open() or flight.purges ~= store:purges() then
        return ask(key, ...)
      end
      flight.gate:wait()
      if flight.raised then error(flight.raised, 0) end
      if flight.text then return known("shared", decode(flight.text)) end
      if flight.err ~= nil then return known("shared", nil, flight.err) end
    end
  end

  local methods = {}
  function methods.purge(_, ...) store:purge(...) end
  function methods.purge_all() store:purge_all() end

  return setmetatable({}, { __call = call, __index = methods, __metatable = false,
    __newindex = function() error("a memoized function can't be changed", 2) end })
end

return memoize
