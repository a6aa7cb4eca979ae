--- Thousands of connections in one spec: non-blocking sockets and epoll, through FFI.
--
--     local loop = epoll.new()
--     loop:listen(function(connection) ... end)    -- returns the port
--     loop:connect(port, { line = function(connection, line) ... end })
--     loop:run(function() return done end, seconds)
local ffi = require "ffi"
local socket = require "socket"

ffi.cdef [[
struct epoll_entry { uint32_t events; int fd; uint32_t unused; } __attribute__((packed));
struct loopback { uint16_t family; uint16_t port; uint32_t address; char zero[8]; };
struct descriptor_limit { unsigned long soft, hard; };
int epoll_create1(int flags);
int epoll_ctl(int epoll, int operation, int fd, struct epoll_entry *entry);
int epoll_wait(int epoll, struct epoll_entry *entries, int count, int milliseconds);
int socket(int domain, int type, int protocol);
int bind(int fd, const struct loopback *address, unsigned int size);
int listen(int fd, int backlog);
int accept4(int fd, void *address, void *size, int flags);
int connect(int fd, const struct loopback *address, unsigned int size);
int getsockname(int fd, struct loopback *address, unsigned int *size);
uint16_t htons(uint16_t value);
ssize_t recv(int fd, void *bytes, size_t size, int flags);
ssize_t send(int fd, const void *bytes, size_t size, int flags);
int close(int fd);
int getrlimit(int resource, struct descriptor_limit *limit);
int setrlimit(int resource, const struct descriptor_limit *limit);
]]

local AF_INET, SOCK, LOOPBACK = 2, 1 + 2048 + 524288, 0x0100007f -- stream, non-blocking, cloexec
local EPOLLIN, ADD, MSG_NOSIGNAL, RLIMIT_NOFILE = 1, 1, 0x4000, 7
local ADDRESS_SIZE = 16

local epoll = {}
epoll.__index = epoll

local connection = {}
connection.__index = connection

--- Sends at once: what these specs say fits any socket buffer.
function connection:send(bytes)
  assert(ffi.C.send(self.fd, bytes, #bytes, MSG_NOSIGNAL) == #bytes, "a socket buffer is full")
end

local buffer = ffi.new("char[?]", 65536)

--- Reads what is there, and hands on each whole line.
local function readable(self)
  local size = tonumber(ffi.C.recv(self.fd, buffer, 65536, 0))
  if size <= 0 then
    self.loop:close(self)
    if self.closed then self.closed(self) end
    return
  end
  self.pending = self.pending .. ffi.string(buffer, size)
  for line in self.pending:gmatch "([^\n]*)\r\n" do self.line(self, line) end
  self.pending = self.pending:match "[^\n]*$"
end

local function address_of(port)
  return ffi.new("struct loopback", { AF_INET, ffi.C.htons(port), LOOPBACK })
end

--- Raises this process's limit of descriptors, which its children inherit.
function epoll.allow_descriptors(count)
  local limit = ffi.new "struct descriptor_limit"
  ffi.C.getrlimit(RLIMIT_NOFILE, limit)
  if limit.soft >= count then return end
  if limit.hard < count then limit.hard = count end
  limit.soft = limit.hard
  assert(ffi.C.setrlimit(RLIMIT_NOFILE, limit) == 0, "cannot raise the limit of descriptors")
end

function epoll.new()
  return setmetatable({ fd = ffi.C.epoll_create1(524288), watched = {} }, epoll)
end

function epoll:watch(fd, object)
  object.fd = fd
  self.watched[fd] = object
  assert(ffi.C.epoll_ctl(self.fd, ADD, fd, ffi.new("struct epoll_entry", { EPOLLIN, fd })) == 0)
  return object
end

function epoll:adopt(fd, events)
  local new = setmetatable({ loop = self, pending = "", ready = readable }, connection)
  for name, value in pairs(events) do new[name] = value end
  return self:watch(fd, new)
end

--- Listens on a loopback port, which it returns; `events(connection)` gives each its callbacks.
function epoll:listen(events, greet)
  local fd = ffi.C.socket(AF_INET, SOCK, 0)
  assert(ffi.C.bind(fd, address_of(0), ADDRESS_SIZE) == 0)
  assert(ffi.C.listen(fd, 4096) == 0)
  local address, size = ffi.new "struct loopback", ffi.new("unsigned int[1]", ADDRESS_SIZE)
  ffi.C.getsockname(fd, address, size)
  self:watch(fd, { ready = function()
    local accepted = ffi.C.accept4(fd, nil, nil, 2048 + 524288)
    if accepted >= 0 then greet(self:adopt(accepted, events)) end
  end })
  return ffi.C.htons(address.port)
end

--- Connects to a loopback port; `events.line(connection, line)` hears each line.
function epoll:connect(port, events)
  local fd = ffi.C.socket(AF_INET, SOCK, 0)
  assert(fd >= 0, "no descriptor left")
  ffi.C.connect(fd, address_of(port), ADDRESS_SIZE) -- refusal shows as a closed connection
  return self:adopt(fd, events)
end

function epoll:close(object)
  self.watched[object.fd] = nil
  ffi.C.close(object.fd)
end

--- Runs until `done()`; an error after `seconds`.
function epoll:run(done, seconds)
  local at, entries = socket.gettime() + seconds, ffi.new "struct epoll_entry[256]"
  while not done() do
    local left = math.ceil((at - socket.gettime()) * 1000)
    if left <= 0 then error("not done in " .. seconds .. " seconds", 2) end
    for i = 0, ffi.C.epoll_wait(self.fd, entries, 256, left) - 1 do
      local object = self.watched[entries[i].fd]
      if object then object.ready(object) end
    end
  end
end

--- Closes every connection.
function epoll:stop()
  for _, object in pairs(self.watched) do ffi.C.close(object.fd) end
  self.watched = {}
  ffi.C.close(self.fd)
end

return epoll
