--- Loopback ports for servers that have to be told theirs. They lie below those that the kernel
--- gives to connections and to whoever leaves the choice to it, and specs that run at the same
--- time get different ones: who comes next stands in a file.
local fcntl = require "posix.fcntl"
local tcp = require "spec.support.tcp"
local unistd = require "posix.unistd"

local ports = {}

local FIRST, COUNT = 12000, 20000
local PLACE, EVERYBODY = "/tmp/moongate-ports", 438 -- 0666

--- Opened anew for each: another user may have made it.
local function open_place()
  return fcntl.open(PLACE, fcntl.O_RDWR)
    or assert(fcntl.open(PLACE, fcntl.O_RDWR + fcntl.O_CREAT, EVERYBODY))
end

local function lock(fd)
  assert(fcntl.fcntl(fd, fcntl.F_SETLKW,
    { l_type = fcntl.F_WRLCK, l_whence = unistd.SEEK_SET, l_start = 0, l_len = 0 }))
end

--- The first of the next `count` in turn. Closing the file unlocks it.
local function next_ports(count)
  local fd = open_place()
  lock(fd)
  local turn = tonumber(unistd.read(fd, 16)) or 0
  if turn + count > COUNT then turn = 0 end
  unistd.lseek(fd, 0, unistd.SEEK_SET)
  unistd.write(fd, ("%15d\n"):format(turn + count))
  unistd.close(fd)
  return FIRST + turn
end

local function is_free(port)
  local fine, fd = pcall(tcp.listen, "127.0.0.1", port)
  if fine then tcp.close(fd) end
  return fine
end

--- One that nobody listens on; of `count` in a row, the first.
function ports.free(count)
  for _ = 1, COUNT do
    local first, free = next_ports(count or 1), true
    for port = first, first + (count or 1) - 1 do free = free and is_free(port) end
    if free then return first end
  end
  error "no port is free"
end

return ports
