--- OAUTHBEARER and XOAUTH2: checks tokens that are JSON Web Tokens here, without asking anybody.
--
--     policy = { "oauth2_jwt" },
--     settings = { oauth2_jwt = {
--       jwks_url = "https://idp.example.org/jwks", issuer = "https://idp.example.org",
--       audience = "mail", user_claim = "email", upstream = "pool:imap",
--     } },
--
-- Settings:
--
--     jwks_url              where the service has its keys (a JWKS); asked again for a key that is
--                           not known, and every hour
--     jwks, pem             the keys themselves, a file beside moongate.lua, instead of jwks_url
--     interval              seconds between two times that keys are asked for, at least (60)
--     timeout               seconds (5)
--     ca                    PEM to trust instead of what the machine does
--     algorithms            of RS256, ES256, EdDSA ({ "RS256", "ES256", "EdDSA" })
--     issuer, audience      what `iss` must be, and `aud` must have
--     leeway                seconds that clocks may differ (30)
--     scope                 words that the token's scope must have
--     user_claim            what holds the user's name ("sub")
--     openid_configuration  a URL that refused clients are told
--     upstream              where logins go; by default what the listener says
--
-- A token counts until it expires, even if it was revoked before: `oauth2` asks each time. The
-- name that the client gives must be the token's own; a client that gives none is logged in by the
-- token's. The upstream gets the same token. Logins without a token are left to the next policy.
local file = require "moongate.file"
local jwt = require "moongate.jwt"
local moongate = require "moongate"

local settings = moongate.settings("oauth2_jwt", {
  jwks_url = "string",
  jwks = "string",
  pem = "string",
  interval = { "duration", default = 60, min = 1 },
  timeout = { "duration", default = 5, min = 0.05 },
  ca = "string",
  algorithms = { "list", of = "string", default = { "RS256", "ES256", "EdDSA" } },
  issuer = { "string", required = true },
  audience = { "string", required = true },
  leeway = { "duration", default = 30, min = 0, max = 600 },
  scope = { "list", of = "string", default = {} },
  user_claim = { "string", default = "sub" },
  openid_configuration = "string",
  upstream = "target",
})

local keys = jwt.keys {
  url = settings.jwks_url,
  jwks = settings.jwks and file.read(settings.jwks),
  pem = settings.pem and file.read(settings.pem),
  interval = settings.jwks_url and settings.interval,
  timeout = settings.jwks_url and settings.timeout,
  ca = settings.jwks_url and settings.ca,
}

local wanted = {
  keys = keys, algorithms = settings.algorithms, issuer = settings.issuer,
  audience = settings.audience, leeway = settings.leeway, scope = settings.scope,
}

local function is_token(mechanism)
  return mechanism == "OAUTHBEARER" or mechanism == "XOAUTH2"
end

local function scope_text()
  local words = {}
  for _, word in ipairs(settings.scope) do table.insert(words, word) end
  return words[1] and table.concat(words, " ") or nil
end

local function refuse(reason)
  return moongate.reject { reason = "invalid-token", log = "token: " .. reason, sasl = {
    status = reason == "scope" and "insufficient_scope" or "invalid_token", scope = scope_text(),
    openid_configuration = settings.openid_configuration } }
end

local policy = {}

--- @param credentials moongate.Credentials
--- @return moongate.Decision?
function policy.auth(_, credentials)
  if not is_token(credentials.mechanism) then return nil end
  local claims, problem = jwt.verify(credentials.token, wanted)
  if claims == nil then return moongate.tempfail { log = problem } end
  if not claims then return refuse(problem) end
  local user = claims[settings.user_claim]
  if type(user) ~= "string" or user == "" then return refuse "no user" end
  if credentials.user ~= "" and credentials.user ~= user then return refuse "another user" end
  return moongate.accept { user = user, upstream = settings.upstream,
    upstream_auth = "passthrough" }
end

return policy
