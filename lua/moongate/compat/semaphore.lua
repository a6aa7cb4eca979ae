--- `ngx.semaphore`: hooks of one worker that wait for each other.
local core = require "moongate.core"

local Semaphore = {}
Semaphore.__index = Semaphore

local function new(count)
  return setmetatable({ free = count or 0, queue = {}, first = 1, last = 0 }, Semaphore)
end

--- The gate of one who still waits; those who were cancelled have left theirs open.
function Semaphore:next_gate()
  while self.first <= self.last do
    local gate = self.queue[self.first]
    self.queue[self.first] = nil
    self.first = self.first + 1
    if not gate:is_open() then return gate end
  end
end

function Semaphore:post(count)
  for _ = 1, count or 1 do
    local gate = self:next_gate()
    if gate then gate:open() else self.free = self.free + 1 end
  end
  return true
end

function Semaphore:wait(seconds)
  if self.free > 0 then
    self.free = self.free - 1
    return true
  end
  if not seconds or seconds <= 0 then return nil, "timeout" end
  local gate = core.gate()
  self.last = self.last + 1
  self.queue[self.last] = gate
  if gate:wait(seconds) then return true end
  gate:open() -- it is passed over
  return nil, "timeout"
end

function Semaphore:count()
  local waiting = 0
  for i = self.first, self.last do
    if not self.queue[i]:is_open() then waiting = waiting + 1 end
  end
  return self.free - waiting
end

return { new = new, version = "moongate" }
