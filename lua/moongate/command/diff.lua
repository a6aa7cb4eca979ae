--- `moongate diff`: what differs between two generations.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate diff [OPTION...] FROM TO

Prints what differs between the configurations and policies of two generations
that the running gateway serves or still keeps, as diff -u does; with them what
is written there, passwords too. Keys, certificates, data files and what c.secret
has read are only named. `moongate status` lists the generations.

]] .. gateway.HELP .. [[
      --help          this text

Exit status: 0 printed, even if nothing differs, 1 one is not kept, or the
gateway can't be reached, 2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "diff", help = HELP, gateway.SOCKET })
if not given then return rest end
for i = 1, 2 do
  if not rest[i] then return options.wrong("diff", "the numbers of two generations are needed") end
  if not rest[i]:match "^[1-9]%d*$" then
    return options.wrong("diff", ("%q is not the number of a generation"):format(rest[i]))
  end
end
if #rest > 2 then return options.wrong("diff", ("%q is one word too many"):format(rest[3])) end

local answer, status = gateway.get(given, "/v1/diff", { from = rest[1], to = rest[2] })
if not answer then return status end
io.stdout:write(answer.text)
return 0
