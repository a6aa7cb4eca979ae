--- `ngx.shared`: the tables that the configuration names in `shared`.
--
-- Where a table is in Redis its calls wait, and a few can't be as OpenResty has them: see
-- redis_dict.lua.
local core = require "moongate.core"
local redis_dict = require "moongate.compat.redis_dict"
local shared = require "moongate.shared"

local KEY_MAX, LONGEST, FLAGS_MAX = 8192, 1e9, 2 ^ 32
local KEYS_MOST = 1024

local Dict = {}
Dict.__index = Dict

-- Arguments -------------------------------------------------------------------------

--- The key as a text; or nil and why it is none.
local function key_of(key)
  if key == nil then return nil, "nil key" end
  if core.is_secret(key) then error("a Secret is no key: use secret:hmac(key)", 3) end
  key = tostring(key)
  if key == "" then return nil, "empty key" end
  if #key > KEY_MAX then return nil, "key too long" end
  return key
end

--- Seconds, or nil for ever.
local function seconds_of(seconds, name)
  if seconds == nil or seconds == 0 then return nil end
  seconds = tonumber(seconds)
  if not seconds or seconds < 0 or seconds ~= seconds then
    error(('bad "%s" argument'):format(name), 3)
  end
  return math.min(math.max(seconds, 0.001), LONGEST)
end

local function flags_of(flags)
  flags = flags == nil and 0 or tonumber(flags)
  if not flags or not (flags >= 0 and flags < FLAGS_MAX and flags % 1 == 0) then
    error('bad "flags" argument: a whole number below 2^32 expected', 3)
  end
  return flags
end

local function is_value(value, ...)
  if core.is_secret(value) then error("a Secret is not kept", 3) end
  for _, kind in ipairs { ... } do if type(value) == kind then return true end end
  return false
end

-- Values ----------------------------------------------------------------------------

local function flags_given(flags) return flags ~= 0 and flags or nil end

function Dict:get(key)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  local value, flags = self.rows.get(self.dict, name, false)
  if value == nil then return nil, flags end
  return value, flags_given(flags)
end

--- Also what is over, while it is still there.
function Dict:get_stale(key)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  local value, flags, stale = self.rows.get(self.dict, name, true)
  if value == nil then return nil, flags end
  return value, flags_given(flags), stale
end

--- A method that writes: `how` is "set", "add" or "replace"; one that is `safe` removes nothing
-- that is not over.
local function writer(how, safe)
  return function(self, key, value, seconds, flags)
    local name, problem = key_of(key)
    if not name then return nil, problem end
    if value == nil and how == "set" then return self:delete(key) end
    if not is_value(value, "string", "number", "boolean") then return nil, "bad value type" end
    return self.rows.store(self.dict, how, name, value, seconds_of(seconds, "exptime"),
      flags_of(flags), safe)
  end
end

Dict.set, Dict.safe_set = writer "set", writer("set", true)
Dict.add, Dict.safe_add = writer "add", writer("add", true)
Dict.replace = writer "replace"

function Dict:delete(key)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  return self.rows.delete(self.dict, name)
end

local function number_of(value, name)
  local number = tonumber(value)
  if not number or number - number ~= 0 then error(('bad "%s" argument'):format(name), 3) end
  return number
end

function Dict:incr(key, by, first, seconds)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  by = number_of(by, "value")
  if first ~= nil then
    first = number_of(first, "init")
  elseif seconds ~= nil then
    error('must provide "init" when providing "init_ttl"', 2)
  end
  return self.rows.incr(self.dict, name, by, first, seconds_of(seconds, "init_ttl"))
end

--- Seconds; 0: for ever.
function Dict:ttl(key)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  return self.rows.ttl(self.dict, name)
end

function Dict:expire(key, seconds)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  if seconds == nil then error('bad "exptime" argument', 2) end
  return self.rows.expire(self.dict, name, seconds_of(seconds, "exptime"))
end

-- Lists -----------------------------------------------------------------------------

local function pusher(place)
  return function(self, key, value)
    local name, problem = key_of(key)
    if not name then return nil, problem end
    if not is_value(value, "string", "number") then return nil, "bad value type" end
    return self.rows.push(self.dict, name, place, value)
  end
end

local function popper(place)
  return function(self, key)
    local name, problem = key_of(key)
    if not name then return nil, problem end
    return self.rows.pop(self.dict, name, place)
  end
end

Dict.lpush, Dict.rpush = pusher "front", pusher "back"
Dict.lpop, Dict.rpop = popper "front", popper "back"

function Dict:llen(key)
  local name, problem = key_of(key)
  if not name then return nil, problem end
  return self.rows.count(self.dict, name)
end

-- All of it -------------------------------------------------------------------------

local function most_of(most, otherwise)
  if most == nil then return otherwise end
  if type(most) ~= "number" or most < 0 or most ~= most then error("a number expected", 3) end
  return math.floor(most)
end

function Dict:flush_all() return self.rows.clear(self.dict) end

--- How many were over.
function Dict:flush_expired(most) return self.rows.sweep(self.dict, most_of(most, 0)) end

--- 1024 of them, or as many as are wanted; 0: all.
function Dict:get_keys(most) return self.rows.keys(self.dict, most_of(most, KEYS_MOST)) end

--- Only a table in memory has these.
local function size(name)
  return function(self)
    local fn = self.rows[name]
    if fn then return fn(self.dict) end
    error(("%s: ngx.shared.%s is in Redis, which has no size for it"):format(name, self.name), 2)
  end
end

Dict.capacity, Dict.free_space = size "capacity", size "free_space"

-- Tables in memory ------------------------------------------------------------------

local STEP = 500 -- so that neither other workers nor the limit of a hook's time wait for all

local in_memory = {}
for name, fn in pairs(core.dict) do in_memory[name] = fn end

function in_memory.sweep(dict, most)
  local removed = 0
  while true do
    local batch = most == 0 and STEP or math.min(STEP, most - removed)
    local count, err = core.dict.sweep(dict, batch)
    if not count then return nil, err end
    removed = removed + count
    if count < batch or removed == most then return removed end
  end
end

function in_memory.keys(dict, most)
  local found, walk = {}, core.dict.walk(dict)
  local keys, err = walk()
  while keys do
    for _, key in ipairs(keys) do
      found[#found + 1] = key
      if #found == most then return found end
    end
    keys, err = walk()
  end
  if err then return nil, err end
  return found
end

--- In memory `dict` is userdata; in Redis, a table.
local function wrap(name, dict)
  if type(dict) == "table" then
    return setmetatable({ name = name, dict = redis_dict.parts(name), rows = redis_dict }, Dict)
  end
  return setmetatable({ name = name, dict = dict, rows = in_memory }, Dict)
end

return setmetatable({}, { __metatable = false, __index = function(dicts, name)
  local ok, dict = pcall(shared.get, name)
  if not ok then return nil end
  local wrapped = wrap(name, dict)
  rawset(dicts, name, wrapped)
  return wrapped
end })
