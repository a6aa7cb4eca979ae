--- The directives of the main level: what each becomes.
local files = require "moongate.nginx.files"
local reader = require "moongate.nginx.reader"
local units = require "moongate.nginx.units"

local main = {}

local function one_number(d, least)
  local value = units.number(d.arguments[1] or "")
  if not value or value < least or #d.arguments ~= 1 then
    reader.fail(d, "%s: invalid number \"%s\"", d.name, d.arguments[1] or "")
  end
  return value
end

local NOT_APPLICABLE = {
  daemon = "a service manager runs it, in the foreground",
  load_module = "there are no modules to load",
  lock_file = "there is none",
  worker_cpu_affinity = "the kernel places workers",
}

local rows = {}

function rows.worker_processes(x, d)
  if d.arguments[1] == "auto" then
    x.gateway:set("workers", "auto", x:origin(d))
  else
    local wanted = one_number(d, 1)
    if wanted > 256 then x:differs(d, "256 is the most that Moongate has") end
    x.gateway:set("workers", math.min(wanted, 256), x:origin(d))
  end
  x:kept(d, "workers")
end

function rows.user(x, d)
  if #d.arguments == 0 or #d.arguments > 2 then reader.fail(d, "\"user\" takes a user, a group") end
  if d.arguments[1] == "root" then
    x:differs(d, "workers are never root: they run as nobody")
    return
  end
  x.gateway:set("user", d.arguments[1], x:origin(d))
  -- nginx's group is by default the one that is called like the user
  x.gateway:set("group", d.arguments[2] or d.arguments[1], x:origin(d))
  x:kept(d, "user, group")
end

function rows.pid(x, d)
  x.gateway:set("pid_file", files.below(x.prefix, d.arguments[1] or ""), x:origin(d))
  x:kept(d, "pid_file")
end

function rows.worker_rlimit_nofile(x, d)
  x.gateway:set("descriptors", math.max(64, one_number(d, 1)), x:origin(d))
  x:kept(d, "descriptors")
end

function rows.worker_shutdown_timeout(x, d)
  local seconds = units.seconds(d.arguments[1] or "")
  if not seconds then reader.fail(d, "worker_shutdown_timeout: invalid time") end
  x.gateway:words("shutdown_timeout", units.duration_text(math.min(seconds, 86400)), x:origin(d))
  if seconds > 86400 then x:differs(d, "a day is the longest") end
  x:differs(d, "sessions before their login end by then too; a reload ends no session at all")
end

--- Each session is two of nginx's connections.
function rows.events(x, d)
  local used = false
  for _, inner in ipairs(d.block or {}) do
    if inner.name == "worker_connections" then
      used = true
      x.gateway:set("max_sessions", math.max(1, math.floor(one_number(inner, 1) / 2)),
        x:origin(inner))
      x:differs(inner, "max_sessions counts sessions, of which each is two connections")
    else
      x.report:add(inner, "not applicable", "of nginx's own event loop")
    end
  end
  x.report:add(d, used and "kept" or "not applicable",
    not used and "of nginx's own event loop" or nil)
end

main.NOT_APPLICABLE, main.ROWS = NOT_APPLICABLE, rows

--- One directive of the main level, other than mail{} and error_log.
function main.apply(x, d)
  if NOT_APPLICABLE[d.name] then
    x.report:add(d, "not applicable", NOT_APPLICABLE[d.name])
  elseif rows[d.name] then
    rows[d.name](x, d)
  else
    x.report:add(d, "skipped", "not of mail")
  end
end

return main
