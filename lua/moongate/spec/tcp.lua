--- Non-blocking sockets on loopback, as thin as can be.
local bit = require "bit"
local ffi = require "ffi"
local posix = require "posix.sys.socket"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

ffi.cdef [[
intptr_t recv(int fd, void *into, size_t size, int flags);
intptr_t send(int fd, const void *bytes, size_t size, int flags);
int accept4(int fd, void *addr, void *len, int flags);
int getsockname(int fd, void *addr, unsigned *len);
]]

local SOCK_FLAGS = 0x80800 -- SOCK_CLOEXEC | SOCK_NONBLOCK
local MSG_NOSIGNAL = 0x4000
local EINTR, EAGAIN, ECONNRESET, EINPROGRESS = 4, 11, 104, 115
local SIZE = 256 * 1024

local into = ffi.new("char[?]", SIZE)

local tcp = {}

local function family_of(ip) return ip:find ":" and posix.AF_INET6 or posix.AF_INET end

local function open(ip, kind)
  return assert(posix.socket(family_of(ip), bit.bor(kind or posix.SOCK_STREAM, SOCK_FLAGS), 0))
end

--- Small writes go out at once, as those of real peers do.
local function hurry(fd) posix.setsockopt(fd, posix.IPPROTO_TCP, posix.TCP_NODELAY, 1) end

local function address(ip, port) return { family = family_of(ip), addr = ip, port = port } end

--- The port a socket is bound to. (luaposix's getsockname leaves the length to chance.)
function tcp.port(fd)
  local name, size = ffi.new "unsigned char[128]", ffi.new("unsigned[1]", 128)
  assert(ffi.C.getsockname(fd, name, size) == 0)
  return name[2] * 256 + name[3]
end

--- A bound datagram socket.
function tcp.datagrams(ip)
  local fd = open(ip, posix.SOCK_DGRAM)
  assert(posix.bind(fd, address(ip, 0)))
  return fd
end

--- A listening socket; `backlog` 0 lets one connection wait, and the next ones knock unheard.
function tcp.listen(ip, port, backlog)
  local fd = open(ip)
  assert(posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_REUSEADDR, 1))
  assert(posix.bind(fd, address(ip, port or 0)))
  assert(posix.listen(fd, backlog or 128))
  return fd
end

--- A listening unix socket that everybody may connect to.
function tcp.listen_local(path)
  local fd = assert(posix.socket(posix.AF_UNIX, bit.bor(posix.SOCK_STREAM, SOCK_FLAGS), 0))
  assert(posix.bind(fd, { family = posix.AF_UNIX, path = path }))
  assert(stat.chmod(path, 511))
  assert(posix.listen(fd, 128))
  return fd
end

--- A connection to a unix socket.
function tcp.connect_local(path)
  local fd = assert(posix.socket(posix.AF_UNIX, bit.bor(posix.SOCK_STREAM, SOCK_FLAGS), 0))
  local fine, message = posix.connect(fd, { family = posix.AF_UNIX, path = path })
  if not fine then
    unistd.close(fd)
    error(("connect %s: %s"):format(path, message), 3)
  end
  return fd
end

--- Starts to connect. `receive_buffer` in bytes makes a client that takes little at a time.
function tcp.connect(ip, port, receive_buffer)
  local fd = open(ip)
  if receive_buffer then
    assert(posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_RCVBUF, receive_buffer))
  end
  hurry(fd)
  local fine, message, number = posix.connect(fd, address(ip, port))
  if not fine and number ~= EINPROGRESS then
    unistd.close(fd)
    error(("connect %s:%d: %s"):format(ip, port, message), 3)
  end
  return fd
end

--- The next connection that waits, or nil.
function tcp.accept(fd)
  local accepted = ffi.C.accept4(fd, nil, nil, SOCK_FLAGS)
  if accepted < 0 then return nil end
  hurry(accepted)
  return accepted
end

--- Bytes; or nil and "again", "eof", "reset" or "error".
function tcp.recv(fd)
  local n = tonumber(ffi.C.recv(fd, into, SIZE, 0))
  if n > 0 then return ffi.string(into, n) end
  if n == 0 then return nil, "eof" end
  local errno = ffi.errno()
  if errno == EAGAIN or errno == EINTR then return nil, "again" end
  return nil, errno == ECONNRESET and "reset" or "error"
end

--- How many of the bytes from `offset` (0 is the first) went out; nil if the connection is lost.
function tcp.send(fd, bytes, offset)
  local from = ffi.cast("const char *", bytes) + offset
  local n = tonumber(ffi.C.send(fd, from, #bytes - offset, MSG_NOSIGNAL))
  if n >= 0 then return n end
  local errno = ffi.errno()
  return (errno == EAGAIN or errno == EINTR) and 0 or nil
end

--- Says that no more will be sent.
function tcp.half_close(fd) posix.shutdown(fd, posix.SHUT_WR) end

function tcp.close(fd) unistd.close(fd) end

--- Closes with a reset.
function tcp.reset(fd)
  posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_LINGER, 1, 0)
  unistd.close(fd)
end

return tcp
