--- Builds a library of this folder that is preloaded into a gateway.
local child = require "spec.support.child"

local preload = {}

--- Builds spec/support/NAME.c in `folder`, beside a file of `size` zero bytes that the library
-- finds by its name in capitals. The words that go before the gateway's, and the file's path.
function preload.build(folder, name, size)
  local path = folder .. "/" .. name
  local library = path .. ".so"
  local code, said = child.run { "cc", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
    ("spec/support/%s.c"):format(name) }
  assert(code == 0, said)
  local file = assert(io.open(path, "w"))
  file:write(("\0"):rep(size))
  file:close()
  return { "env", "LD_PRELOAD=" .. library, ("%s=%s"):format(name:upper(), path) }, path
end

return preload
