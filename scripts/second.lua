--- Sends a login on to a second upstream when the first, which another policy has named, fails.
--
--     policy = { "auth_http", "second" },
--     settings = { second = { upstream = "10.0.0.6:143" } },
--
-- Settings, each an upstream such as "10.0.0.6:143" or "pool:imap"; without a port, the protocol's
-- own:
--
--     upstream          for every protocol
--     imap, pop3, smtp  for one protocol, before `upstream`
--
-- It is tried once, if the first can't be reached or fails before it has judged the password.
local moongate = require "moongate"

local upstreams = moongate.settings("second", {
  upstream = "target", imap = "target", pop3 = "target", smtp = "target",
})

local policy = {}

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.connect_failed(session)
  local upstream = upstreams[session.protocol] or upstreams.upstream
  if upstream and session.upstream_attempt < 2 then
    return moongate.retry { upstream = upstream }
  end
end

return policy
