--- nginx's `error_log`, as the key `log` of the gateway.
local files = require "moongate.nginx.files"
local node = require "moongate.nginx.node"
local reader = require "moongate.nginx.reader"

local LEVELS = { debug = "debug", info = "info", notice = "warn", warn = "warn", error = "error",
  crit = "error", alert = "error", emerg = "error" }
local FACILITIES = { kern = true, user = true, mail = true, daemon = true, auth = true,
  intern = true, lpr = true, news = true, uucp = true, clock = true, authpriv = true, ftp = true,
  ntp = true, audit = true, alert = true, cron = true, local0 = true, local1 = true, local2 = true,
  local3 = true, local4 = true, local5 = true, local6 = true, local7 = true }
local SEVERITIES = { debug = true, info = true, notice = true, warn = true, error = true,
  crit = true, alert = true, emerg = true }
local PLACES_MAX = 8

local log = {}

--- "ip", "ip:port", "unix:/path"; nginx looks up a name when it reads the file.
local function server_of(d, text)
  local host, port = text:match "^([^:%[]+)(:?%d*)$"
  if text:match "^unix:/" or not host or host:match "^%d+%.%d+%.%d+%.%d+$" then return text end
  local found = files.addresses(host)
  if #found == 0 then reader.fail(d, "error_log: host not found in syslog server \"%s\"", text) end
  return found[1] .. port
end

local SYSLOG = {}

function SYSLOG.facility(made, value, d)
  made.facility = value:lower()
  if not FACILITIES[made.facility] then
    reader.fail(d, "error_log: unknown syslog facility \"%s\"", value)
  end
end

function SYSLOG.server(made, value, d) made.server = server_of(d, value) end

function SYSLOG.tag(made, value, d)
  if #value > 32 or not value:match "^[%w_]+$" then
    reader.fail(d, "error_log: syslog \"tag\" only allows alphanumeric characters and underscore")
  end
  made.tag = value
end

--- For an error_log it is that of each line, in nginx, too.
function SYSLOG.severity(_, value, d)
  if not SEVERITIES[value:lower()] then
    reader.fail(d, "error_log: unknown syslog severity \"%s\"", value)
  end
end

--- What stands behind "syslog:", as a target of Moongate's, with nginx's defaults.
local function syslog(d, parameters)
  local made = { facility = "local7", tag = "nginx" }
  for parameter in parameters:gmatch "[^,]+" do
    local name, value = parameter:match "^(%w+)=(.*)$"
    if SYSLOG[name] then
      SYSLOG[name](made, value, d)
    elseif parameter == "nohostname" then
      made.nameless = true
    else
      reader.fail(d, "error_log: unknown syslog parameter \"%s\"", parameter)
    end
  end
  if not made.server then reader.fail(d, "error_log: no syslog server specified") end
  return ("syslog:%s,server=%s,tag=%s%s"):format(made.facility, made.server, made.tag,
    made.nameless and ",nohostname" or "")
end

log.SYSLOG = SYSLOG

--- Checks one, wherever it stands.
function log.check(d)
  local target, level = d.arguments[1], d.arguments[2]
  if not target or #d.arguments > 2 then
    reader.fail(d, "invalid number of arguments in \"error_log\" directive")
  end
  if level and not LEVELS[level] and not level:match "^debug_" then
    reader.fail(d, "error_log: invalid log level \"%s\"", level)
  end
  local parameters = target:match "^syslog:(.*)$"
  if parameters then syslog(d, parameters) end
end

--- Where it goes, and from which level on.
local function place_of(x, d)
  local target, wanted = d.arguments[1], d.arguments[2] or "error"
  local parameters = target:match "^syslog:(.*)$"
  if parameters then
    target = syslog(d, parameters)
  elseif target ~= "stderr" then
    target = files.below(x.prefix, target)
  end
  local level = wanted:match "^debug" and "debug" or LEVELS[wanted]
  if level ~= wanted then x:differs(d, ("level %s becomes %s"):format(wanted, level)) end
  x:differs(d, "the lines are Moongate's own; one a session at level info")
  return { target = target, level = level, origin = x:origin(d) }
end

local function add_all(x, list, places)
  for _, d in ipairs(list) do
    if d.arguments[1]:match "^memory:" then
      x:differs(d, "a log in memory: nothing is written here")
    elseif #places == PLACES_MAX then
      x:differs(d, ("%d places are the most: nothing is written here"):format(PLACES_MAX))
    else
      table.insert(places, place_of(x, d))
    end
  end
end

--- Those of mail{}, or of the main level; `own`, of servers, get the lines of all; `unused` are of
-- the main level where mail{} has others.
function log.apply(x, list, own, unused)
  local places = {}
  add_all(x, list, places)
  add_all(x, own, places)
  for _, d in ipairs(own) do x:differs(d, "it gets the lines of all servers") end
  for _, d in ipairs(unused) do
    x:differs(d, "what is told of the program goes where mail{} logs to")
  end
  local first = table.remove(places, 1)
  if not first then return end
  local made = x.gateway:open "log"
  made:set("target", first.target, first.origin)
  made:set("level", first.level, first.origin)
  if #places == 0 then return end
  local also = made:open "also"
  for _, place in ipairs(places) do
    local member = node.new()
    member:set("target", place.target, place.origin)
    member:set("level", place.level)
    also:add(member)
  end
end

return log
