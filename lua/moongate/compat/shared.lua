--- `ngx.shared`: the tables that the configuration names in `shared`.
--
-- Flags are not kept, and there are no lists. `replace`, `expire` and `incr` without a first value
-- look first and write then: another may write between the two.
local shared = require "moongate.shared"

local Dict = {}
Dict.__index = Dict

local function ttl_of(seconds)
  return seconds and seconds > 0 and seconds or nil
end

--- (true or a value) as it is; (false) as `word`; (nil, err) as a text.
local function told(value, err, word)
  if value == nil then return nil, tostring(err) end
  if value == false then return false, word end
  return value
end

function Dict:get(key)
  local value, err = self.dict:get(tostring(key))
  if value == nil and err then return nil, tostring(err) end
  return value
end

Dict.get_stale = Dict.get

function Dict:set(key, value, seconds)
  if value == nil then return self:delete(key) end
  return told(self.dict:set(tostring(key), value, ttl_of(seconds)))
end

Dict.safe_set = Dict.set

function Dict:add(key, value, seconds)
  local added, err = self.dict:add(tostring(key), value, ttl_of(seconds))
  return told(added, err, "exists")
end

Dict.safe_add = Dict.add

function Dict:replace(key, value, seconds)
  local there, err = self:get(key)
  if err then return nil, err end
  if there == nil then return false, "not found" end
  return self:set(key, value, seconds)
end

function Dict:delete(key)
  local deleted, err = self.dict:delete(tostring(key))
  if deleted == nil then return nil, tostring(err) end
  return true
end

function Dict:incr(key, by, first, seconds)
  if first == nil then
    local there, err = self:get(key)
    if there == nil then return nil, err or "not found" end
  end
  return told(self.dict:incr(tostring(key), by, first or 0, ttl_of(seconds)))
end

function Dict:ttl(key)
  local seconds, err = self.dict:ttl(tostring(key))
  if seconds == nil then return nil, err and tostring(err) or "not found" end
  return seconds == math.huge and 0 or seconds
end

function Dict:expire(key, seconds)
  local value, err = self:get(key)
  if value == nil then return nil, err or "not found" end
  return self:set(key, value, seconds)
end

return setmetatable({}, { __metatable = false, __index = function(dicts, name)
  local ok, dict = pcall(shared.get, name)
  if not ok then return nil end
  local wrapped = setmetatable({ dict = dict }, Dict)
  rawset(dicts, name, wrapped)
  return wrapped
end })
