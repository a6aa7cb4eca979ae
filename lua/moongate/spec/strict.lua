--- Spec files run under busted as policies run in the gateway: no global is undefined or assigned.
local strict = {}

local function undefined(name)
  error(("undefined global %q"):format(tostring(name)), 3)
end

local function guarded(env)
  return setmetatable({}, {
    __index = function(_, name)
      local value = env[name]
      if value == nil then undefined(name) end
      return value
    end,
    __newindex = function(_, name)
      error(("assignment to global %q: declare it local"):format(tostring(name)), 2)
    end,
  })
end

--- From now on busted gives the files and functions that it runs such an environment.
function strict.guard()
  local make = require "busted.environment"
  package.loaded["busted.environment"] = function(context)
    local environment = make(context)
    local wrap, proxies = environment.wrap, {}
    function environment.wrap(fn)
      wrap(fn)
      local env = getfenv(fn)
      proxies[env] = proxies[env] or guarded(env)
      return setfenv(fn, proxies[env])
    end
    return environment
  end
end

return strict
