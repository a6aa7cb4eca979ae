--- `moongate who`: the sessions of all workers.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate who [OPTION...]

Lists the sessions that the running gateway has, of all its workers; with
options only those that all of them fit.

      --user NAME          who logged in, or last tried
      --ip ADDRESS         of the client; also a network, 10.0.0.0/8
      --protocol NAME      imap, pop3 or smtp
      --listener NAME      as in the configuration
      --phase NAME         where the session is: handshake, greet, command,
                           policy, connect, login, splice (logged in), close
]] .. gateway.HELP .. [[
      --json               the whole answer, as JSON
      --help               this text

Exit status: 0 listed, even if there are none, 1 the gateway can't be reached,
2 wrong usage.
]]

local FILTERS = { "user", "ip", "protocol", "listener", "phase" }

local fields = { command = "who", help = HELP, gateway.SOCKET, gateway.JSON }
for _, name in ipairs(FILTERS) do table.insert(fields, { name, value = true }) end

local given, rest = options.read({ ... }, fields)
if not given then return rest end
if #rest > 0 then return options.wrong("who", ("%q is one word too many"):format(rest[1])) end

local filters = {}
for _, name in ipairs(FILTERS) do filters[name] = given[name] end
local answer, text = gateway.get(given, "/v1/sessions", filters)
if not answer then return text end
if given.json then
  io.stdout:write(text)
  return 0
end

local rows = {}
table.sort(answer.sessions, function(a, b) return a.id < b.id end)
for _, s in ipairs(answer.sessions) do
  table.insert(rows, { s.user or "-", s.client, s.listener, s.protocol, s.phase, s.upstream or "-",
    s.tls and "yes" or "no", gateway.duration(s.seconds), gateway.size(s["in"]),
    gateway.size(s.out), s.id })
end
if #rows > 0 then
  io.stdout:write(gateway.columns({ "USER", "CLIENT", "LISTENER", "PROTOCOL", "PHASE", "UPSTREAM",
    "TLS", "SINCE", "IN", "OUT", "SESSION" }, rows))
end
io.stdout:write(("%d sessions\n"):format(answer.count))
return 0
