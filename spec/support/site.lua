--- A gateway with a listener or two, for the session specs.
--
--     local gw = site.start {
--       listen = { imap = { protocol = "imap", more = "limits = { attempts = 2 }" } },
--       policy = [[ return { auth = function(session, credentials) ... end } ]],
--     }
--
-- The policy is scripts/policy.lua, with `moongate` required already. Without one everybody whose
-- password is "secret" goes to the upstream that `users` has for the name, and to that of "*".
local gateway = require "spec.support.gateway"

local site = {}

local BY_NAME = [[
local upstreams = { %s }

return {
  auth = function(session, credentials)
    local upstream = upstreams[credentials.user] or upstreams["*"]
    local password = credentials.password
    if not upstream or not password or not password:equals "secret" then
      return moongate.reject { reason = "bad-credentials" }
    end
    return moongate.accept { upstream = upstream }
  end,
}
]]

local LISTENER = [[
  c.listen "%s" {
    address = "127.0.0.1:0",
    protocol = "%s",
    policy = { "policy" },
    %s
  },
]]

local function by_name(users)
  local rows = {}
  for name, address in pairs(users) do table.insert(rows, ("[%q] = %q"):format(name, address)) end
  return BY_NAME:format(table.concat(rows, ", "))
end

--- The text of moongate.lua.
function site.configuration(options)
  local parts = {}
  for name, listener in pairs(options.listen) do
    table.insert(parts, LISTENER:format(name, listener.protocol, listener.more or ""))
  end
  return ('local c = require "moongate.config"\n\nreturn c.gateway {\n  workers = %d,\n  %s\n%s}\n')
    :format(options.workers or 1, options.more or "", table.concat(parts))
end

function site.start(options)
  local policy = options.policy or by_name(options.users)
  return gateway.start {
    files = {
      ["moongate.lua"] = site.configuration(options),
      ["scripts/policy.lua"] = 'local moongate = require "moongate"\n' .. policy,
    },
  }
end

return site
