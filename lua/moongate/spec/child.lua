--- Starts other programs and waits for what they say, by events and with deadlines.
--
-- A child writes to a log file, so it never blocks on a reader; waiting for a line of it is
-- inotify, waiting for its end a pidfd. It dies with the process that started it.
local ffi = require "ffi"
local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local signal = require "posix.signal"
local socket = require "socket"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef [[
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int inotify_init1(int flags);
int inotify_add_watch(int fd, const char *path, uint32_t mask);
long syscall(long number, ...);
]]

local PR_SET_PDEATHSIG, IN_MODIFY, SYS_PIDFD_OPEN = 1, 2, 434

local child = {}
child.__index = child

--- Until when, for `left`.
local function deadline(seconds) return socket.gettime() + seconds end

local function left(at) return math.max(0, math.ceil((at - socket.gettime()) * 1000)) end

local function exec(options)
  ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
  if not options.makes_session then -- a Ctrl-C is for who started it, and then stops it in order
    unistd.setpid("p", 0, 0)
  end
  local out = fcntl.open(options.log, fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_APPEND, 420)
  unistd.dup2(fcntl.open("/dev/null", fcntl.O_RDONLY), 0)
  unistd.dup2(out, 1)
  unistd.dup2(out, 2)
  if options.directory then unistd.chdir(options.directory) end
  for name, value in pairs(options.environment or {}) do
    require("posix.stdlib").setenv(name, value)
  end
  local _, message = unistd.execp(options[1], { unpack(options, 2) })
  unistd.write(2, "cannot run " .. options[1] .. ": " .. tostring(message) .. "\n")
  unistd._exit(127)
end

--- A process that ends `pid` when this one has gone, for a program that a change of its user frees
-- from PDEATHSIG. It waits for the end of a pipe that only this process can write to.
local function guard(pid)
  local reader, writer = unistd.pipe()
  fcntl.fcntl(writer, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  local watchman = assert(unistd.fork())
  if watchman == 0 then
    unistd.setpid("p", 0, 0)
    unistd.close(writer)
    repeat until unistd.read(reader, 1) == ""
    signal.kill(pid, signal.SIGTERM)
    unistd._exit(0)
  end
  unistd.close(reader)
  return function()
    signal.kill(watchman, signal.SIGKILL)
    wait.wait(watchman)
    unistd.close(writer)
  end
end

--- Starts `{ program, argument..., log = path, directory =, environment = {} }`.
-- `makes_session` is for a daemon that begins with setsid(2), as a group's leader may not, and then
-- goes to and fro between users.
function child.start(options)
  io.open(options.log, "a"):close()
  local pid = assert(unistd.fork())
  if pid == 0 then exec(options) end
  local pidfd = tonumber(ffi.C.syscall(SYS_PIDFD_OPEN, ffi.cast("long", pid), ffi.cast("long", 0)))
  return setmetatable({ pid = pid, pidfd = pidfd, name = options[1], log = options.log,
    unguard = options.makes_session and guard(pid) }, child)
end

--- Everything that it has written.
function child:output()
  local file = assert(io.open(self.log))
  local text = file:read "*a"
  file:close()
  return text
end

--- True until it has ended; then `self.status` says how ("exited" or "killed") and `self.code`.
function child:is_running()
  if self.code then return false end
  local pid, status, code = wait.wait(self.pid, wait.WNOHANG)
  if pid ~= self.pid then return true end
  self.status, self.code = status, code
  return false
end

--- Waits until its output matches `pattern`, and returns the captures.
function child:expect(pattern, seconds)
  local at = deadline(seconds or 10)
  local watch = ffi.C.inotify_init1(0)
  ffi.C.inotify_add_watch(watch, self.log, IN_MODIFY)
  local found
  repeat
    local running = self:is_running()
    found = { self:output():match(pattern) }
    if found[1] or not running then break end
    poll.poll({ [watch] = { events = { IN = true } }, [self.pidfd] = { events = { IN = true } } },
      left(at))
    if poll.rpoll(watch, 0) == 1 then unistd.read(watch, 4096) end
  until left(at) == 0
  unistd.close(watch)
  if found[1] then return unpack(found) end
  error(("%s did not say %q:\n%s"):format(self.name, pattern, self:output()), 2)
end

--- Waits for its end; false if it still runs after `seconds`, or when a signal came.
function child:wait(seconds)
  local at = deadline(seconds or 10)
  while self:is_running() do
    if left(at) == 0 then return false end
    if not poll.rpoll(self.pidfd, left(at)) then return false end
  end
  return self.code, self.status
end

--- Sends it a signal (SIGTERM) and waits for its end; SIGKILL if it does not listen.
function child:stop(number, seconds)
  if self:is_running() then signal.kill(self.pid, number or signal.SIGTERM) end
  local code, status = self:wait(seconds or 10)
  if not code then
    signal.kill(self.pid, signal.SIGKILL)
    code, status = self:wait(5)
  end
  if self.unguard then self.unguard() end
  if self.pidfd then unistd.close(self.pidfd) end
  self.pidfd, self.unguard = nil, nil
  return code, status
end

--- Runs a program to its end (at most `seconds`) and returns its exit status and output.
function child.run(options)
  local log = os.tmpname()
  options.log = log
  local program = child.start(options)
  local code = program:wait(options.seconds or 30)
  program:stop(signal.SIGKILL)
  local text = program:output()
  os.remove(log)
  return code or "timeout", text
end

return child
