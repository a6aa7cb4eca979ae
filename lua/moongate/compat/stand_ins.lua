--- What `require` gives drivers in the place of files that need LuaJIT's FFI or C libraries.
local json = require "moongate.json"

local stand_ins = {}

local function clear(t)
  for key in pairs(t) do t[key] = nil end
end

local function count(t)
  local found = 0
  for _ in pairs(t) do found = found + 1 end
  return found
end

local function clone(t)
  local copy = {}
  for key, value in pairs(t) do copy[key] = value end
  return copy
end

local function new() return {} end

local function decode(text)
  local value, err = json.decode(text, { null = true })
  if err then error(tostring(err), 2) end
  return value
end

local function safe(fn)
  return function(...)
    local ok, value = pcall(fn, ...)
    if not ok then return nil, tostring(value) end
    return value
  end
end

--- By the names that drivers require.
function stand_ins.of(ngx)
  return {
    ngx = ngx,
    bit = bit,
    ["table.new"] = new,
    ["table.clear"] = clear,
    ["table.nkeys"] = count,
    ["table.clone"] = clone,
    ["table.isempty"] = function(t) return next(t) == nil end,
    ["cjson"] = { encode = json.encode, decode = decode, null = json.null },
    ["cjson.safe"] = { encode = safe(json.encode), decode = safe(decode), null = json.null },
    ["ngx.ssl"] = require "moongate.compat.ssl",
    ["ngx.semaphore"] = require "moongate.compat.semaphore",
    ["resty.lock"] = require "moongate.compat.lock",
    ["resty.lrucache"] = require "moongate.compat.lrucache",
    ["resty.lrucache.pureffi"] = require "moongate.compat.lrucache",
    ["resty.core.base"] = { new_tab = new, clear_tab = clear },
    ["resty.core.shdict"] = {},
  }
end

return stand_ins
