--- `moongate rollback`: back to an earlier generation.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate rollback [OPTION...] [GENERATION]

Takes the running gateway back to the generation before the one that serves, or
to any that is still kept; `moongate status` lists them. What is on disk stays
as it is, and the next reload uses that. Waits until it is done.

]] .. gateway.HELP .. [[
      --help          this text

Exit status: 0 it serves, 1 it does not, or the gateway can't be reached,
2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "rollback", help = HELP, gateway.SOCKET })
if not given then return rest end
if #rest > 1 then return options.wrong("rollback", ("%q is one word too many"):format(rest[2])) end
if rest[1] and not rest[1]:match "^[1-9]%d*$" then
  return options.wrong("rollback", ("%q is not the number of a generation"):format(rest[1]))
end

local answer, status = gateway.post(given, "/v1/rollback"
  .. (rest[1] and "?generation=" .. rest[1] or ""))
if not answer then return status end
io.stdout:write(answer.text, "\n")
return 0
