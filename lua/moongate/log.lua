--- Log lines by level: `log.warn("no answer", { url = url })`.
local core = require "moongate.core"

local log = {}
for _, level in ipairs { "error", "warn", "info", "debug" } do
  log[level] = function(message, fields) return core.log(level, message, fields) end
end

return log
