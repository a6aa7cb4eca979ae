--- The one event loop of a spec: its clients, its scripted servers, the gateway's log.
--
-- Whoever waits pumps everything. A spec waits by turning the loop; a server's script, a
-- coroutine, waits by yielding to it. Every wait has a deadline, and one that passes is an error
-- that shows what every connection of the spec has said and what the gateway logged.
local ffi = require "ffi"
local socket = require "socket"

ffi.cdef [[
struct loop_pollfd { int fd; short events, revents; };
int poll(struct loop_pollfd *fds, unsigned long count, int milliseconds);
]]

local POLLIN, POLLOUT = 1, 4
local SECONDS = 10 -- for a wait that says nothing else

local loop = {}

local sources = {}   -- by descriptor
local scripts = {}   -- by coroutine: what it waits for
local failures = {}  -- of scripts, for the next wait of the spec to raise
local witnesses = {} -- functions that tell what they have seen
local capacity = 64
local fds = ffi.new("struct loop_pollfd[?]", capacity)

--- Watches a descriptor: calls `source:on_readable()` while `source.reading`, and
--- `source:on_writable()` while `source.writing`.
function loop.watch(fd, source) sources[fd] = source end

function loop.forget(fd) sources[fd] = nil end

--- `tell()` returns text that helps to understand a failure. Returns what takes it back.
function loop.witness(tell)
  witnesses[tell] = true
  return function() witnesses[tell] = nil end
end

local function evidence()
  local parts = {}
  for tell in pairs(witnesses) do table.insert(parts, tell()) end
  table.sort(parts)
  return "\n" .. table.concat(parts, "\n")
end

local function gather()
  local count = 0
  for fd, source in pairs(sources) do
    local events = (source.reading and POLLIN or 0) + (source.writing and POLLOUT or 0)
    if events ~= 0 then
      if count == capacity then
        local larger = ffi.new("struct loop_pollfd[?]", capacity * 2)
        ffi.copy(larger, fds, capacity * ffi.sizeof "struct loop_pollfd")
        fds, capacity = larger, capacity * 2
      end
      fds[count].fd, fds[count].events, fds[count].revents = fd, events, 0
      count = count + 1
    end
  end
  return count
end

local function dispatch(count)
  local ready = {}
  for i = 0, count - 1 do
    if fds[i].revents ~= 0 then ready[fds[i].fd] = fds[i].revents end
  end
  for fd, events in pairs(ready) do
    local source = sources[fd]
    if source and source.writing and events ~= POLLIN then source:on_writable() end
    if sources[fd] == source and source and source.reading and events ~= POLLOUT then
      source:on_readable()
    end
  end
end

local function resume(script, ...)
  local waiting = scripts[script]
  local fine, message = coroutine.resume(script, ...)
  if coroutine.status(script) == "dead" then scripts[script] = nil end
  if not fine then
    table.insert(failures, ("the script of %s: %s"):format(waiting.name, tostring(message)))
  end
  return fine
end

--- Resumes every script that has what it waits for; true if one had.
local function run_scripts()
  local ready, now = {}, socket.gettime()
  for script, waiting in pairs(scripts) do
    if waiting.done() then
      table.insert(ready, { script })
    elseif waiting.at and now >= waiting.at then
      table.insert(ready, { script, "waited in vain for " .. waiting.what })
    end
  end
  for _, one in ipairs(ready) do
    if scripts[one[1]] then resume(one[1], one[2]) end
  end
  return ready[1] ~= nil
end

local function nearest(at)
  for _, waiting in pairs(scripts) do
    if waiting.at and waiting.at < at then at = waiting.at end
  end
  return math.max(0, math.ceil((at - socket.gettime()) * 1000))
end

--- Handles what has happened, waiting for it until the time `at`.
local function turn(at)
  if run_scripts() then return end
  local count = gather()
  if ffi.C.poll(fds, count, nearest(at)) > 0 then dispatch(count) end
end

local function raise_failures()
  if failures[1] then
    local text = table.concat(failures, "\n")
    failures = {}
    error(text .. evidence(), 0)
  end
end

--- Runs `body` as a script beside the spec. An error in it fails the spec at its next wait.
function loop.script(name, body)
  local script = coroutine.create(body)
  scripts[script] = { name = name, what = "its start", done = function() return true end }
  return script
end

--- Ends a script where it waits.
function loop.cancel(script) scripts[script] = nil end

--- Waits until `done()` is true; `what` says what for. `seconds` false: for ever (scripts only).
function loop.wait(what, done, seconds)
  local at = seconds ~= false and socket.gettime() + (seconds or SECONDS) or nil
  local waiting = scripts[coroutine.running() or false]
  if waiting then
    if done() then return end
    waiting.what, waiting.done, waiting.at = what, done, at
    local message = coroutine.yield()
    if message then error(message, 0) end
    return
  end
  while true do
    raise_failures()
    if done() then return end
    if socket.gettime() >= at then error("waited in vain for " .. what .. evidence(), 0) end
    turn(at)
  end
end

--- Lets `seconds` pass while everything goes on: for what must not happen in that time.
function loop.pass(seconds)
  local at = socket.gettime() + seconds
  local waiting = scripts[coroutine.running() or false]
  if waiting then
    waiting.what, waiting.at = "time", at
    waiting.done = function() return socket.gettime() >= at end
    coroutine.yield()
    return
  end
  while socket.gettime() < at do
    raise_failures()
    turn(at)
  end
end

loop.now = socket.gettime

return loop
