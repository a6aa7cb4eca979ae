--- In the place of `resty.lock`, whose original needs FFI: a lock that all workers share.
local core = require "moongate.core"
local shared = require "moongate.compat.shared"

local DEFAULTS = { exptime = 30, timeout = 5, step = 0.001, ratio = 2, max_step = 0.5 }

local Lock = {}
Lock.__index = Lock

local function new(_, name, options)
  local dict = shared[name]
  if not dict then return nil, "dictionary not found" end
  local self = setmetatable({ dict = dict }, Lock)
  for option, value in pairs(DEFAULTS) do self[option] = options and options[option] or value end
  self.timeout = math.min(self.timeout, self.exptime)
  return self
end

--- Until when it is ours for certain: what the table counts begins a little later.
local function end_of(seconds)
  return seconds > 0 and core.now() + seconds or math.huge
end

--- Seconds that it took; or nil and "timeout", "locked" or what is wrong with the table.
function Lock:lock(key)
  if self.key then return nil, "locked" end
  local step, waited = self.step, 0
  while true do
    local ends = end_of(self.exptime)
    local ok, err = self.dict:add(key, true, self.exptime)
    if ok then
      self.key, self.ends = key, ends
      return waited
    end
    if err ~= "exists" then return nil, err end
    if waited >= self.timeout then return nil, "timeout" end
    local pause = math.min(step, self.timeout - waited)
    core.sleep(pause)
    waited = waited + pause
    step = math.min(step * self.ratio, self.max_step)
  end
end

--- One that has expired may be another's by now.
function Lock:unlock()
  if not self.key then return nil, "unlocked" end
  if core.now() < self.ends then
    local ok, err = self.dict:delete(self.key)
    if not ok then return nil, err end
  end
  self.key = nil
  return 1
end

function Lock:expire(seconds)
  if not self.key then return nil, "unlocked" end
  if core.now() >= self.ends then return nil, "not found" end
  seconds = seconds or self.exptime
  local ends = end_of(seconds)
  local ok, err = self.dict:expire(self.key, seconds)
  if not ok then return nil, err end
  self.ends = ends
  return true
end

return { new = new, _VERSION = "0.09" }
