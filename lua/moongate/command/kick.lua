--- `moongate kick`: ends sessions.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate kick --user NAME | --session ID | --ip ADDRESS [OPTION...]

Ends the sessions of a user, one session, or those of a client's address or
network; given more than one, those that all of them fit. Clients that have not
logged in are told so; the others' connections are closed. The session's line in
the log says end=kicked.

      --user NAME          who logged in, or last tried
      --session ID         as `moongate who` and the log have it
      --ip ADDRESS         also a network, 10.0.0.0/8
      --reason TEXT        for the log
]] .. gateway.HELP .. [[
      --json               the answer, as JSON
      --help               this text

Exit status: 0 at least one was ended, 1 none was, or the gateway can't be
reached, 2 wrong usage.
]]

local given, rest = options.read({ ... }, { command = "kick", help = HELP, gateway.SOCKET,
  gateway.JSON, { "user", value = true }, { "session", value = true }, { "ip", value = true },
  { "reason", value = true } })
if not given then return rest end
if #rest > 0 then return options.wrong("kick", ("%q is one word too many"):format(rest[1])) end
if not (given.user or given.session or given.ip) then
  return options.wrong("kick", "whom? --user, --session or --ip is needed")
end

local answer, text = gateway.post(given, "/v1/kick", { user = given.user, session = given.session,
  ip = given.ip, reason = given.reason })
if not answer then return text end
io.stdout:write(given.json and text or ("%d sessions ended\n"):format(answer.kicked))
return answer.kicked > 0 and 0 or 1
