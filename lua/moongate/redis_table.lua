--- Tables of `moongate.shared` that are in Redis: for all workers of all gateways that name it.
--
-- A value is a text whose first byte tells its type; flags that `ngx.shared` gives it come before
-- it. Places are kept by the C side, since sessions hold them longer than any Lua state lives.
local core = require "moongate.core"
local redis = require "moongate.redis"

local KEY_MAX, VALUE_MAX = 8192, 65536
local FLAGS = ("f"):byte()

-- ARGV: what is added, where it begins ("": it does not), milliseconds or "".
local INCR = [[
local old = redis.call("GET", KEYS[1])
if not old and ARGV[2] == "" then return "absent" end
local flags, number = "", ARGV[2]
if old then
  flags, number = old:match("^(f?%d*:?)n(.*)$")
  if not flags then return false end
end
local text = string.format("%.17g", tonumber(number) + tonumber(ARGV[1]))
if old then redis.call("SET", KEYS[1], flags .. "n" .. text, "KEEPTTL")
elseif ARGV[3] == "" then redis.call("SET", KEYS[1], "n" .. text)
else redis.call("SET", KEYS[1], "n" .. text, "PX", ARGV[3]) end
return text]]

-- ARGV: milliseconds between tokens, how many there may be. The value is the time at which the
-- bucket will be full: tokens that are missing are time that must go by until then.
local TAKE = [[
local clock, old = redis.call("TIME"), redis.call("GET", KEYS[1])
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local interval, full = tonumber(ARGV[1]), now
if old then
  if old:sub(1, 1) ~= "n" then return false end
  full = math.max(tonumber(old:sub(2)), now)
end
local wait = full - (now + interval * (ARGV[2] - 1))
if wait > 0 then return string.format("%.17g", wait) end
full = full + interval
redis.call("SET", KEYS[1], "n" .. string.format("%.17g", full), "PX",
  string.format("%.0f", math.ceil(full - now) + 1))
return "0"]]

local function check_key(key)
  if core.is_secret(key) then error("a Secret is no key: use secret:hmac(key)", 4) end
  if type(key) == "number" then key = tostring(key) end
  if type(key) ~= "string" or #key < 1 or #key > KEY_MAX then
    error("a key of 1 to 8192 bytes expected", 4)
  end
  return key
end

local function check_number(value, otherwise)
  if value == nil then value = otherwise end
  if type(value) ~= "number" or value - value ~= 0 then error("a finite number expected", 3) end
  return value
end

local function check_rate(rate, burst)
  if type(rate) ~= "number" or not (rate >= 1e-6 and rate <= 1e6) then
    error("tokens a second, from 1e-6 to 1e6, expected", 3)
  end
  if type(burst) ~= "number" or not (burst >= 1 and burst <= 1e6 and burst % 1 == 0) then
    error("a whole number from 1 to 1000000 expected", 3)
  end
end

local function check_ttl(ttl)
  if ttl ~= nil and not (type(ttl) == "number" and ttl >= 0.001 and ttl <= 1e9) then
    error("seconds from 0.001 to 1e9 expected", 3)
  end
  return ttl
end

local function encode(value, flags)
  local kind = type(value)
  local before = (flags or 0) > 0 and ("f%d:"):format(flags) or ""
  if kind == "string" then return before .. "s" .. value end
  if kind == "number" then return ("%sn%.17g"):format(before, value) end
  if kind == "boolean" then return before .. (value and "b1" or "b0") end
  error(core.is_secret(value) and "a Secret is not kept"
    or "a string, a number or a boolean expected", 3)
end

local readers = {
  s = function(text) return text end,
  n = function(text) return tonumber(text) end,
  b = function(text) return text == "1" end,
}

--- The value and its flags; nil if it is not one of ours.
local function decode(text)
  local flags = 0
  if text:byte() == FLAGS then
    local _, stop, digits = text:find "^f(%d+):"
    if not stop then return nil end
    flags, text = tonumber(digits), text:sub(stop + 1)
  end
  local read = readers[text:sub(1, 1)]
  if not read then return nil end
  return read(text:sub(2)), flags
end

--- The methods of the table whose entry in the configuration is `options`.
local function methods_of(name, options)
  local pool = redis.pool {
    url = options.store, user = options.user, password = options.password,
    database = options.database, profile = options.profile, server_name = options.server_name,
    sentinel = options.sentinel, timeout = options.timeout, size = options.size,
  }
  local prefix = options.prefix .. name .. "/"
  local leases = core.redis_leases(pool, prefix)
  local methods = {}

  local function key_of(key) return prefix .. "value:" .. check_key(key) end

  local function failure(text)
    return nil, core.failure("protocol", ("shared %s: %s"):format(name, text))
  end

  local function store(key, value, ttl, only)
    local text = encode(value)
    if #text > VALUE_MAX + 1 then
      return nil, core.failure("overload", ("shared %s: a value may have %d bytes"):format(name,
        VALUE_MAX))
    end
    return pool:set(key, text, { ttl = check_ttl(ttl), only = only })
  end

  function methods.get(_, key)
    local text, err = pool:get(key_of(key))
    if not text then return nil, err end
    local value = decode(text)
    if value == nil then return failure "the value is not one of ours" end
    return value
  end

  function methods.set(_, key, value, ttl) return store(key_of(key), value, ttl) end

  function methods.add(_, key, value, ttl) return store(key_of(key), value, ttl, "absent") end

  --- The sum, or "absent"; false: the value is no number; nil, err.
  local function add_up(key, by, init, milliseconds)
    local text, err = pool:eval(INCR, { key_of(key) }, { by, init or "", milliseconds })
    if err then return nil, err end
    return text and (tonumber(text) or text)
  end

  function methods.incr(_, key, by, init, ttl)
    ttl = check_ttl(ttl)
    local sum, err = add_up(key, check_number(by, 1), check_number(init, 0),
      ttl and math.ceil(ttl * 1000) or "")
    if sum or err then return sum, err end
    return failure "the value is no number"
  end

  function methods.delete(_, key)
    local count, err = pool:del(key_of(key))
    if not count then return nil, err end
    return count > 0
  end

  function methods.ttl(_, key)
    local left, err = pool:ttl(key_of(key))
    if not left then return nil, err end
    return left < 0 and math.huge or left
  end

  function methods.take(_, key, rate, burst)
    burst = burst or 1
    check_rate(rate, burst)
    local text, err = pool:eval(TAKE, { key_of(key) }, { 1000 / rate, burst })
    if err then return nil, err end
    if not text then return failure "the value is no number" end
    local wait = tonumber(text) / 1000
    if wait > 0 then return false, wait end
    return true
  end

  function methods.lease(_, ...) return leases:lease(...) end
  function methods.give_back(_, ...) return leases:give_back(...) end
  function methods.leased(_, ...) return leases:leased(...) end
  return methods, { pool = pool, encode = encode, decode = decode, add_up = add_up,
    text_max = VALUE_MAX + 1, key_of = function(key) return prefix .. "value:" .. key end }
end

local made, parts = {}, {}

--- The table of that name, which the configuration has; and what `ngx.shared` makes of it.
return function(name)
  if not made[name] then
    local options = core.thaw(core.thaw(core.thaw(core.config).shared)[name])
    local methods
    methods, parts[name] = methods_of(name, options)
    made[name] = setmetatable({}, { __index = methods, __metatable = false,
      __newindex = function() error("a shared table is changed by its methods", 2) end })
  end
  return made[name], parts[name]
end
