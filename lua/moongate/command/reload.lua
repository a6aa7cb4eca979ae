--- `moongate reload`: another generation, from what is on disk now.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate reload [OPTION...]

Has the running gateway read its configuration, its policies and all they need
again, and waits until all workers serve what is new, or until it is known that
they can't: then nothing has changed, and what is wrong is printed, each error
as "file:line: message". Sessions go on.

]] .. gateway.HELP .. [[
      --help          this text

Exit status: 0 it serves, 1 it does not, or the gateway can't be reached,
2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "reload", help = HELP, gateway.SOCKET })
if not given then return rest end
if #rest > 0 then return options.wrong("reload", ("%q is one word too many"):format(rest[1])) end

local answer, status = gateway.post(given, "/v1/reload")
if not answer then return status end
io.stdout:write(answer.text, "\n")
return 0
