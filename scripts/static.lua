--- Sends everybody to one upstream, which checks the password itself.
--
--     policy = { "static" },
--     settings = { static = { upstream = "10.0.0.5" } },
--
-- Settings, each an upstream such as "10.0.0.5:143"; without a port, the protocol's own:
--
--     upstream          for every protocol
--     imap, pop3, smtp  for one protocol, before `upstream`
--
-- Behind another policy in a chain it only says where: { "passwd_file", "static" }.
local moongate = require "moongate"

local upstreams = moongate.settings("static", {
  upstream = "target", imap = "target", pop3 = "target", smtp = "target",
})

local function upstream_of(session)
  return upstreams[session.protocol] or upstreams.upstream
end

local policy = {}

--- @param session moongate.Session
--- @return moongate.Decision
function policy.auth(session)
  local upstream = upstream_of(session)
  if not upstream then
    return moongate.tempfail { log = "static: no upstream for " .. session.protocol }
  end
  return moongate.accept { upstream = upstream }
end

policy.rcpt = policy.auth

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.route(session)
  local upstream = upstream_of(session)
  return upstream and moongate.to { address = upstream }
end

return policy
