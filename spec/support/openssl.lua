--- Runs `openssl s_client` beside the spec's loop.
--
--     local text, code = openssl.client(port, { "-starttls", "imap" }, "a LOGOUT\r\n")
local child = require "spec.support.child"
local loop = require "spec.support.loop"
local signal = require "posix.signal"

local openssl = {}

--- Its whole output and exit status. `input` is sent at once behind the handshake; the connection
-- is then the server's to end, unless `more` has "-no_ign_eof".
function openssl.client(port, more, input, seconds)
  local path, log = os.tmpname(), os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(input or "")
  file:close()
  local words = { "sh", "-c", 'in=$1; shift; exec openssl s_client "$@" <"$in"', "sh", path,
    "-ign_eof", "-connect", "127.0.0.1:" .. port, log = log }
  for _, word in ipairs(more or {}) do table.insert(words, word) end
  local program = child.start(words)
  loop.watch(program.pidfd, { reading = true, on_readable = function() end })
  local fine, message = pcall(loop.wait, "the end of openssl s_client", function()
    return not program:is_running()
  end, seconds or 20)
  loop.forget(program.pidfd)
  local text = program:output()
  local code = program:stop(signal.SIGKILL)
  os.remove(path)
  os.remove(log)
  if not fine then error(message .. "\n" .. text, 2) end
  return text, code
end

return openssl
