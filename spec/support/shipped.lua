--- A gateway that runs shipped policies, for the specs of spec/policies.
--
--     local gw = shipped.start {
--       policy = { "auth_http" },
--       settings = ('auth_http = { url = %q }'):format(auth.url),
--       listen = { imap = "", pop3 = "", mx = 'protocol = "smtp", auth = "none",' },
--     }
--
-- A listener without `protocol` speaks the one it is called after.
local gateway = require "spec.support.gateway"

local shipped = {}

local function listeners(options)
  local chain = ('"%s"'):format(table.concat(options.policy, '", "'))
  local texts = {}
  for name, more in pairs(options.listen) do
    if not more:find "protocol" then more = ("protocol = %q, "):format(name) .. more end
    table.insert(texts, ('  c.listen %q { address = "127.0.0.1:0", policy = { %s }, %s },\n')
      :format(name, chain, more))
  end
  return table.concat(texts)
end

--- The text of moongate.lua.
function shipped.configuration(options)
  return ('local c = require "moongate.config"\n\nreturn c.gateway {\n  workers = 1,\n  %s\n'
    .. '  settings = { %s },\n%s}\n')
    :format(options.more or "", options.settings, listeners(options))
end

function shipped.start(options)
  local files = options.files or {}
  files["moongate.lua"] = shipped.configuration(options)
  return gateway.start { files = files }
end

return shipped
