--- nginx's `error_log`, as the key `log` of the gateway.
local files = require "moongate.nginx.files"
local reader = require "moongate.nginx.reader"

local LEVELS = { debug = "debug", info = "info", notice = "warn", warn = "warn", error = "error",
  crit = "error", alert = "error", emerg = "error" }
local FACILITIES = { user = true, mail = true, daemon = true, auth = true, authpriv = true,
  local0 = true, local1 = true, local2 = true, local3 = true, local4 = true, local5 = true,
  local6 = true, local7 = true }

local log = {}

local function syslog(x, d, parameters)
  local facility = "local7" -- nginx's default
  for parameter in parameters:gmatch "[^,]+" do
    local name, value = parameter:match "^(%w+)=(.*)$"
    if name == "facility" then
      facility = value:lower()
      if not FACILITIES[facility] then
        x:differs(d, ("facility %s becomes local7"):format(facility))
        facility = "local7"
      end
    elseif name == "server" then
      if value ~= "unix:/dev/log" then
        x:differs(d, ("server=%s: this machine's /dev/log gets it, and may pass it on")
          :format(value))
      end
    elseif name == "tag" then
      if value ~= "moongate" then x:differs(d, "the tag is moongate") end
    elseif name == "severity" then
      x:differs(d, "severity=: it is that of each line")
    elseif parameter ~= "nohostname" then
      reader.fail(d, "error_log: unknown syslog parameter \"%s\"", parameter)
    end
  end
  return "syslog:" .. facility
end

--- Checks one, wherever it stands.
function log.check(d)
  local _, debug_only = d.arguments[2], d.arguments[2] and d.arguments[2]:match "^debug_"
  if d.arguments[2] and not LEVELS[d.arguments[2]] and not debug_only then
    reader.fail(d, "error_log: invalid log level \"%s\"", d.arguments[2])
  end
end

--- The one of these that is kept, in the key `log`; the report says that the others are not.
function log.apply(x, list, others)
  local kept
  for _, d in ipairs(list) do
    local target = d.arguments[1]
    if kept or target:match "^memory:" then
      x:differs(d, kept and "there is one log: nothing is written here"
        or "a log in memory: nothing is written here")
    else
      kept = d
    end
  end
  for _, d in ipairs(others) do
    if d ~= kept then x:differs(d, "there is one log: nothing is written here") end
  end
  if not kept then return end
  local target = kept.arguments[1]
  local parameters = target:match "^syslog:(.*)$"
  if parameters then
    target = syslog(x, kept, parameters)
  elseif target ~= "stderr" then
    target = files.below(x.prefix, target)
  end
  local level = (kept.arguments[2] or "error"):match "^debug" and "debug"
    or LEVELS[kept.arguments[2] or "error"]
  local node = x.gateway:open "log"
  node:set("target", target, x:origin(kept))
  node:set("level", level, x:origin(kept))
  if level ~= (kept.arguments[2] or "error") then
    x:differs(kept, ("level %s becomes %s"):format(kept.arguments[2], level))
  end
  x:differs(kept, "the lines are Moongate's own; one a session at level info")
end

return log
