--- Packets between the gateway's processes: what a worker that was taken over may send.
local core = require "spec.support.core"
local ffi = require "ffi"

ffi.cdef [[
struct spec_iovec { void *base; size_t len; };
struct spec_msghdr {
  void *name; unsigned int name_len; struct spec_iovec *iov; size_t iov_len;
  void *control; size_t control_len; int flags;
};
struct spec_cmsg { size_t len; int level; int type; int fds[8]; };
int socketpair(int domain, int type, int protocol, int pair[2]);
ssize_t sendmsg(int fd, const struct spec_msghdr *message, int flags);
int dup(int fd);
int close(int fd);
int message_receive(int fd, bool wait, void *message);
void message_deinit(void *message);
]]

local AF_UNIX, SOCK_SEQPACKET, SOL_SOCKET, SCM_RIGHTS = 1, 5, 1, 1

local RECEIVE_DONE, RECEIVE_BAD = 0, 3

local lib = core.load "base/error.h"

--- The numbers of the types, in the order of their list.
local TYPES = {}
do
  local file = assert(io.open "core/process/messages.def")
  local next_one = 0
  for line in file:lines() do
    local name = line:match "^MESSAGE%(([A-Z]+),"
    if name then TYPES[name], next_one = next_one, next_one + 1 end
  end
  file:close()
end

describe("a message", function()
  local pair, m
  before_each(function()
    pair, m = ffi.new "int[2]", ffi.new "char[32768]"
    assert.equal(0, ffi.C.socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
  end)
  after_each(function()
    ffi.C.close(pair[0])
    ffi.C.close(pair[1])
  end)

  --- The lowest descriptor that is free.
  local function lowest_free()
    local fd = ffi.C.dup(pair[0])
    ffi.C.close(fd)
    return fd
  end

  --- Sends a packet that says to be of `type`, with `count` descriptors.
  local function send(type, count)
    local header = ffi.new("uint32_t[2]", type, 0)
    local iov = ffi.new("struct spec_iovec", { base = header, len = 8 })
    local control = ffi.new "struct spec_cmsg"
    control.len, control.level, control.type = 16 + 4 * count, SOL_SOCKET, SCM_RIGHTS
    for i = 0, count - 1 do control.fds[i] = pair[0] end
    local message = ffi.new("struct spec_msghdr", { iov = iov, iov_len = 1 })
    if count > 0 then message.control, message.control_len = control, control.len end
    assert.equal(8, tonumber(ffi.C.sendmsg(pair[0], message, 0)))
  end

  it("arrives with as many descriptors as its type has", function()
    send(TYPES.SOCKET, 1)
    assert.equal(RECEIVE_DONE, lib.message_receive(pair[1], false, m))
    lib.message_deinit(m)
  end)

  it("is refused with any other number, and leaves none behind", function()
    local free = lowest_free()
    for count = 0, 8 do
      if count ~= 1 then
        send(TYPES.SOCKET, count)
        assert.equal(RECEIVE_BAD, lib.message_receive(pair[1], false, m))
        assert.equal(free, lowest_free())
      end
    end
  end)
end)
