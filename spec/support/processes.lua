--- What a spec can see of the gateway's processes, in /proc.
local ffi = require "ffi"
local poll = require "posix.poll"
local signal = require "posix.signal"
local socket = require "socket"
local unistd = require "posix.unistd"

ffi.cdef "long syscall(long number, ...);"

local SYS_PIDFD_OPEN = 434

local processes = {}

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- The numbers of a process' children, in the order they were started.
function processes.children(pid)
  local pids = {}
  for number in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch "%d+" do
    pids[#pids + 1] = tonumber(number)
  end
  return pids
end

--- The fields of /proc/PID/status, or nil when there is no such process.
function processes.status(pid)
  local text = read(("/proc/%d/status"):format(pid))
  if not text then return nil end
  local fields = {}
  for name, value in text:gmatch "(%w+):%s*([^\n]*)\n" do fields[name] = value end
  return fields
end

--- Seconds of CPU time that it has used.
function processes.cpu(pid)
  local fields = {}
  for field in read(("/proc/%d/stat"):format(pid)):match("%) (.*)"):gmatch "%S+" do
    fields[#fields + 1] = field
  end
  return (fields[12] + fields[13]) / 100
end

--- Stops a process with all its threads, and waits until they stand.
function processes.freeze(pid)
  signal.kill(pid, signal.SIGSTOP)
  processes.eventually(function()
    local running = io.popen("cat /proc/" .. pid .. "/task/*/stat"):read("*a")
    return not running:gsub("%) [TZ] ", ""):find "%) %u "
  end, 10)
end

--- Waits until a process that need not be our child has ended; false if it has not.
function processes.wait_gone(pid, seconds)
  local fd = tonumber(ffi.C.syscall(SYS_PIDFD_OPEN, ffi.cast("long", pid), ffi.cast("long", 0)))
  if fd < 0 then return true end
  local ended = poll.rpoll(fd, seconds * 1000) == 1
  unistd.close(fd)
  return ended
end

--- Calls `condition` until it returns something true, which it returns; fails after `seconds`.
-- For what has no event to wait for; each call should wait a little by itself.
function processes.eventually(condition, seconds)
  local at = socket.gettime() + seconds
  repeat
    local value = condition()
    if value then return value end
    socket.select(nil, nil, 0.02)
  until socket.gettime() > at
  error("did not come true", 2)
end

return processes
