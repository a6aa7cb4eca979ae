--- The types of libc that net/addr.h needs, for specs that call it: require it before that header.
local ffi = require "ffi"

ffi.cdef [[
typedef unsigned int socklen_t;
struct sockaddr { uint16_t sa_family; char sa_data[14]; };
struct sockaddr_storage { uint16_t ss_family; char text[118]; unsigned long align; };
struct sockaddr_un { uint16_t sun_family; char sun_path[108]; };
]]
