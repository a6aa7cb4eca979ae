--- `moongate trace`: follows sessions of the running gateway.
local events = require "moongate.command.events"
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"
local trace = require "moongate.trace.host"

local HELP = [[
Usage: moongate trace [OPTION...]

Follows the sessions of the running gateway, of all its workers, until it is
interrupted: what client, gateway and upstream say before the session is relayed,
each phase, each call of a hook with its decision, its time and what it waited
for, and the end.  With options only those sessions that all of them fit; one
that has begun already is shown from here on.

      --user NAME          who logs in, once that is known
      --ip ADDRESS         of the client; also a network, 10.0.0.0/8
      --session ID         one session
      --listener NAME      as in the configuration
      --protocol NAME      imap, pop3 or smtp
      --record FILE        also append to FILE what `moongate replay` needs: each
                           hook call with its facts and what I/O answered
]] .. gateway.HELP .. [[
      --json               one JSON object a line
      --help               this text

Passwords, tokens and SASL responses are never shown; a recording has in their
place a keyed hash that is the same for the same password.  What I/O answered,
such as the body of an HTTP answer, is recorded as it is.

Exit status: 1 the gateway can't be reached, or has gone, 2 wrong usage.
]]

local FILTERS = { "user", "ip", "session", "listener", "protocol" }

local fields = { command = "trace", help = HELP, gateway.SOCKET, gateway.JSON,
  { "record", value = true } }
for _, name in ipairs(FILTERS) do table.insert(fields, { name, value = true }) end

local given, rest = options.read({ ... }, fields)
if not given then return rest end
if #rest > 0 then return options.wrong("trace", ("%q is one word too many"):format(rest[1])) end

local recording, message
if given.record then
  trace.keep_private()
  recording, message = io.open(given.record, "a")
  if not recording then
    io.stderr:write("moongate: ", message, "\n")
    return 1
  end
  recording:setvbuf "line"
end
io.stdout:setvbuf "line"

local function say(text) io.stderr:write("moongate: ", text, "\n") end

--- What is no event: the gateway tells of itself.
local function told(event)
  if event.watching then say(("following %d workers"):format(event.watching)) end
  if event.lost then say(("%d events were lost"):format(event.lost)) end
end

local function take(line)
  local event, why = events.decode(line)
  if not event then
    say(tostring(why))
    return false
  end
  if not event.event then
    told(event)
    return true
  end
  if recording and event.event == "hook" and not recording:write(line, "\n") then
    say(given.record .. ": it can't be written")
    return false
  end
  return io.stdout:write(given.json and line or events.line(event), "\n") ~= nil
end

local filters = {}
for _, name in ipairs(FILTERS) do filters[name] = given[name] end
local _, status = gateway.follow(given, recording and "/v1/record" or "/v1/trace", filters, take)
return status or 1
