--- `moongate.compat.ngx`: what OpenResty's drivers expect to find, on the modules of Moongate.
--
-- The file that requires it, and all files that it requires from then on, have `ngx` as a global.
-- Its parts are in this folder; names that make no sense without a web request are not there.
local core = require "moongate.core"
local json = require "moongate.json"
local timer = require "moongate.timer"

local TIMER_SECONDS = 3600 -- OpenResty's timers have no limit

local LEVELS = { -- name, number, what it is in our log
  { "STDERR", 0, "error" }, { "EMERG", 1, "error" }, { "ALERT", 2, "error" },
  { "CRIT", 3, "error" }, { "ERR", 4, "error" }, { "WARN", 5, "warn" }, { "NOTICE", 6, "info" },
  { "INFO", 7, "info" }, { "DEBUG", 8, "debug" },
}

local ngx = {
  null = json.null,
  socket = require "moongate.compat.socket",
  re = require "moongate.compat.re",
  shared = require "moongate.compat.shared",
  thread = require "moongate.compat.thread",
  config = { ngx_lua_version = 10029, subsystem = "http", debug = false, prefix = core.prefix },
}
for name, value in pairs(require "moongate.compat.text") do ngx[name] = value end

-- Logging ---------------------------------------------------------------------------

local words_of = {}
for _, level in ipairs(LEVELS) do
  ngx[level[1]] = level[2]
  words_of[level[2]] = level[3]
end

function ngx.log(level, ...)
  local words = { ... }
  for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
  core.log(words_of[level] or "info", table.concat(words):sub(1, 2000))
end

-- Time ------------------------------------------------------------------------------

function ngx.now() return math.floor(core.time() * 1000) / 1000 end
function ngx.time() return math.floor(core.time()) end
function ngx.update_time() end
function ngx.sleep(seconds) core.sleep(seconds) end

local function timer_of(start)
  return function(seconds, callback, ...)
    local arguments, count = { ... }, select("#", ...)
    start(seconds, "ngx.timer", function()
      return callback(false, unpack(arguments, 1, count))
    end, { budget = TIMER_SECONDS })
    return 1
  end
end

ngx.timer = { at = timer_of(timer.after), every = timer_of(timer.every) }

-- Where it runs ---------------------------------------------------------------------

function ngx.get_phase() return "timer" end

local function workers()
  local configured = core.thaw(core.config or {}).workers
  return tonumber(configured) and configured > 0 and configured or select(3, core.worker())
end

ngx.worker = {
  pid = function() return (select(2, core.worker())) end,
  id = function() return core.worker() - 1 end,
  count = workers,
  exiting = function() return false end, -- what would be told has been ended by then
}

--- There is no request; what one driver left here another would find.
local function nothing(name)
  return setmetatable({}, { __metatable = false,
    __newindex = function() error("ngx." .. name .. ": there is no request here", 2) end })
end

ngx.var, ngx.req, ngx.ctx = nothing "var", nothing "req", nothing "ctx"

core.provide_ngx(ngx, require "moongate.compat.stand_ins".of(ngx))

return ngx
