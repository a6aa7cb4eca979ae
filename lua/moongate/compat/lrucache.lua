--- In the place of `resty.lrucache`, whose original needs FFI: values of one worker and generation.
local core = require "moongate.core"

local Cache = {}
Cache.__index = Cache

--- A ring: behind `self.ring` the newest comes first.
local function take_out(row) row.before.after, row.after.before = row.after, row.before end

local function put_first(self, row)
  row.before, row.after = self.ring, self.ring.after
  row.after.before, self.ring.after = row, row
end

function Cache:flush_all()
  self.ring, self.rows, self.used = {}, {}, 0
  self.ring.before, self.ring.after = self.ring, self.ring
end

local function new(size)
  if type(size) ~= "number" or size < 1 then return nil, "size too small" end
  local self = setmetatable({ size = size }, Cache)
  self:flush_all()
  return self
end

--- The value; or nil, a value that is over, and its flags.
function Cache:get(key)
  local row = self.rows[key]
  if not row then return nil end
  take_out(row)
  put_first(self, row)
  if row.ends and row.ends <= core.now() then return nil, row.value, row.flags end
  return row.value, nil, row.flags
end

function Cache:delete(key)
  local row = self.rows[key]
  if not row then return end
  take_out(row)
  self.rows[key] = nil
  self.used = self.used - 1
end

function Cache:set(key, value, seconds, flags)
  self:delete(key)
  if self.used == self.size then self:delete(self.ring.before.key) end
  if type(flags) ~= "number" or flags < 0 then flags = 0 end
  local row = { key = key, value = value, flags = flags,
    ends = seconds and core.now() + seconds }
  put_first(self, row)
  self.rows[key] = row
  self.used = self.used + 1
end

function Cache:count() return self.used end
function Cache:capacity() return self.size end

--- The newest first, in a list of the caller's if there is one.
function Cache:get_keys(most, keys)
  local row, count = self.ring.after, 0
  keys = keys or {}
  while row ~= self.ring and (not most or most <= 0 or count < most) do
    count = count + 1
    keys[count] = row.key
    row = row.after
  end
  keys[count + 1] = nil
  return keys
end

return { new = new, _VERSION = "0.13" }
