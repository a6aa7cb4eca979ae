--- Digests that clients answer challenges with, by the program openssl.
local child = require "spec.support.child"

local digest = {}

local function run(text, words)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  table.insert(words, path)
  local code, output = child.run(words)
  os.remove(path)
  assert(code == 0, output)
  return output:match "(%x+)%s*$"
end

function digest.md5(text) return run(text, { "openssl", "dgst", "-md5" }) end

function digest.hmac_md5(key, text)
  return run(text, { "openssl", "dgst", "-md5", "-hmac", key })
end

return digest
