--- A memcached of a spec, on a port of 127.0.0.1: `memcached.start()` gives { port =, stop = }.
local child = require "spec.support.child"
local ports = require "spec.support.ports"
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"

local memcached = {}
memcached.__index = memcached

function memcached:run()
  self.process = child.start { "memcached", "-u", "nobody", "-l", "127.0.0.1",
    "-p", tostring(self.port), "-vv", log = self.folder .. "/log" }
  self.process:expect("(server listening)", 20)
  return self
end

function memcached.start()
  return setmetatable({ port = ports.free(),
    folder = assert(stdlib.mkdtemp "/tmp/moongate-memcached-XXXXXX") }, memcached):run()
end

function memcached:stop()
  self.process:stop(signal.SIGKILL)
  child.run { "rm", "-rf", self.folder }
end

return memcached
