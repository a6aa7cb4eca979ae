--- `ngx.thread`: light threads, which are children of the hook that spawns them.
local core = require "moongate.core"

local thread = {}

local Thread = {}
Thread.__index = Thread

--- What it came to is kept: true and its results, or false and its error.
function Thread:finish(...)
  self.results = { count = select("#", ...), ... }
  for _, gate in ipairs(self.waiting) do gate:open() end
  self.waiting = {}
end

function thread.spawn(fn, ...)
  local self = setmetatable({ waiting = {} }, Thread)
  local child, err = core.spawn(function(...) self:finish(pcall(fn, ...)) end, ...)
  if not child then return nil, tostring(err) end
  self.child = child
  return self
end

local function first_finished(threads)
  for _, one in ipairs(threads) do
    if one.results and not one.told then return one end
  end
end

--- Waits for the first of them that is over; each is told once.
function thread.wait(...)
  local threads = { ... }
  local over = first_finished(threads)
  while not over do
    local gate, running = core.gate(), false
    for _, one in ipairs(threads) do
      if not one.told then
        table.insert(one.waiting, gate)
        running = true
      end
    end
    if not running then return nil, "already waited or killed" end
    gate:wait()
    over = first_finished(threads)
  end
  over.told = true
  return unpack(over.results, 1, over.results.count)
end

function thread.kill(one)
  if one.told or one.results then return nil, "already waited or killed" end
  one.told = true
  one.child:cancel()
  return 1
end

return thread
