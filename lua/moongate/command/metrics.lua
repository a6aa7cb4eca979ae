--- `moongate metrics`: what the running gateway counts, as Prometheus reads it.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate metrics [OPTION...]

Writes what the running gateway and its policies count and measure, of all
workers together, in the text format of Prometheus.

]] .. gateway.HELP .. [[
      --help          this text

Exit status: 0 told, 1 the gateway can't be reached, 2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "metrics", help = HELP, gateway.SOCKET })
if not given then return rest end
if #rest > 0 then return options.wrong("metrics", ("%q is one word too many"):format(rest[1])) end

local text, status = gateway.text(given, "/v1/metrics")
if not text then return status end
io.stdout:write(text)
return 0
