--- `moongate purge`: has memoized functions forget.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate purge [OPTION...] NAME [KEY]

Has all workers forget what the functions that policies memoize under NAME have
found out: what was asked with KEY as the first argument, or everything. After a
password has changed, for instance, KEY is the user's name.

]] .. gateway.HELP .. [[
      --help               this text

Exit status: 0 done, 1 a worker did not answer, or the gateway can't be
reached, 2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "purge", help = HELP, gateway.SOCKET })
if not given then return rest end
if #rest == 0 then return options.wrong("purge", "the name is missing") end
if #rest > 2 then return options.wrong("purge", ("%q is one word too many"):format(rest[3])) end

local answer, status = gateway.post(given, "/v1/purge", { name = rest[1], key = rest[2] })
if not answer then return status end
return #answer.missing == 0 and 0 or 1
