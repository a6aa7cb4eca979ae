--- `moongate status`: the running gateway, its workers and listeners.
local gateway = require "moongate.command.gateway"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate status [OPTION...]

Tells how the running gateway is: since when it runs, its workers with their
sessions, where it listens, which generations of its configuration it has, and
why the last reload was refused, if it was.

]] .. gateway.HELP .. [[
      --json          the whole answer, as JSON
      --help          this text

Exit status: 0 told, 1 the gateway can't be reached, 2 wrong usage.
]]

local function workers_of(status)
  local rows = {}
  for _, worker in ipairs(status.workers) do
    table.insert(rows, { worker.slot, worker.pid, worker.state,
      gateway.duration(worker.seconds), worker.restarts, worker.sessions or "-",
      worker.generation or "-" })
  end
  return gateway.columns({ "WORKER", "PID", "STATE", "SINCE", "RESTARTS", "SESSIONS",
    "GENERATION" }, rows)
end

local function listeners_of(status)
  local rows = {}
  for _, listener in ipairs(status.listeners) do
    table.insert(rows, { listener.name, listener.address })
  end
  return gateway.columns({ "LISTENER", "ADDRESS" }, rows)
end

local function generations_of(status)
  local rows = {}
  for _, generation in ipairs(status.generations) do
    table.insert(rows, { generation.number, generation.live and "serves" or "kept",
      os.date("%Y-%m-%d %H:%M:%S", generation.since), generation.reason
        .. (generation.origin > 0 and (" to %d"):format(generation.origin) or ""),
      generation.hash:sub(1, 12) })
  end
  return gateway.columns({ "GENERATION", "STATE", "SINCE", "BY", "HASH" }, rows)
end

--- Why the last reload or rollback was refused; nothing once one was not.
local function refusal_of(status)
  local refused = status.refused
  if not refused then return "" end
  local lines = refused.error:gsub("%f[^\n%z][^\n]", function(first)
    return "  " .. first
  end):gsub("\n*$", "\n")
  return ("\nREFUSED  %s\n%s"):format(os.date("%Y-%m-%d %H:%M:%S", refused.at), lines)
end

local given, rest = options.read({ ... },
  { command = "status", help = HELP, gateway.SOCKET, gateway.JSON })
if not given then return rest end
if #rest > 0 then return options.wrong("status", ("%q is one word too many"):format(rest[1])) end

local status, text = gateway.get(given, "/v1/status")
if not status then return text end
if given.json then
  io.stdout:write(text)
  return 0
end
io.stdout:write(("moongate %s, %s for %s, pid %d, %d sessions\n\n"):format(status.version,
  status.state, gateway.duration(status.seconds), status.pid, status.sessions),
  workers_of(status), "\n", listeners_of(status), "\n", generations_of(status),
  refusal_of(status))
return 0
