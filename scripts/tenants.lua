--- Keeps tenants apart by the name that the client asked for in TLS (SNI).
--
--     policy = { "tenants", "passwd_file" },
--     settings = { tenants = {
--       domains = { ["mail.acme.example"] = "acme.example" },
--       upstreams = { ["acme.example"] = "pool:acme" },
--     } },
--
-- Settings:
--
--     domains    by server name, in lower case: the mail domain whose users may log in there
--     upstreams  by domain: where they go; a domain that is not there, where another policy says
--
-- Put it first in the chain. A connection to another name is refused, as is a user of another
-- domain. A user without a domain gets that of the tenant.
local moongate = require "moongate"

local settings = moongate.settings("tenants", {
  domains = { "map", of = "text", required = true },
  upstreams = { "map", of = "target", default = {} },
})

local policy = {}

local function check_name(session)
  local name = session.tls and session.tls.sni
  local domain = name and settings.domains[name:lower()]
  if not domain then
    return moongate.reject { reason = "unknown-tenant", close = true }
  end
  session.vars.tenant = domain
end

--- With STARTTLS the name comes later, and nobody logs in before.
--- @param session moongate.Session
--- @return moongate.Decision?
function policy.connect(session)
  return session.tls and check_name(session)
end

policy.secured = check_name

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision?
function policy.auth(session, credentials)
  local tenant = session.vars.tenant
  if not tenant then return moongate.reject { reason = "tls-required" } end
  local domain = credentials.user:match "@([^@]*)$"
  if not domain then
    session:set_user(credentials.user .. "@" .. tenant)
  elseif domain:lower() ~= tenant then
    return moongate.reject { reason = "wrong-tenant" }
  end
end

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.route(session)
  local upstream = settings.upstreams[session.vars.tenant or ""]
  return upstream and moongate.to { address = upstream }
end

return policy
