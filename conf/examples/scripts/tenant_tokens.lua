--- Tokens of several tenants: the name in TLS (SNI) says whose service must have made them.
--
-- Settings, by server name: `domain` that users belong to, `issuer`, `audience`, `jwks_url`, and
-- what `scope` it must have, if any. A token names its user in `email`.
local jwt = require "moongate.jwt"
local moongate = require "moongate"

local tenants = {}
for name, tenant in pairs(moongate.settings("tenant_tokens", { values = "data" })) do
  tenants[name] = {
    domain = tenant.domain,
    wanted = {
      keys = jwt.keys { url = tenant.jwks_url },
      algorithms = { "RS256", "ES256", "EdDSA" },
      issuer = tenant.issuer, audience = tenant.audience, scope = tenant.scope,
    },
  }
end

local function tenant_of(session)
  local name = session.tls and session.tls.sni
  return name and tenants[name:lower()]
end

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision?
local function auth(session, credentials)
  local tenant = tenant_of(session)
  if not tenant then return moongate.reject { reason = "unknown-tenant", close = true } end
  local claims, problem = jwt.verify(credentials.token, tenant.wanted)
  if claims == nil then return moongate.tempfail { log = problem } end
  if not claims then
    return moongate.reject { reason = "invalid-token", log = "token: " .. problem,
      sasl = { status = "invalid_token", scope = tenant.wanted.scope } }
  end
  local user = claims.email
  local domain = type(user) == "string" and user:match "@([^@]+)$"
  if domain ~= tenant.domain or (credentials.user ~= "" and credentials.user ~= user) then
    return moongate.reject { reason = "wrong-user" }
  end
  return moongate.accept { user = user, upstream_auth = "passthrough" }
end

return { auth = auth }
