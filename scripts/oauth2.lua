--- OAUTHBEARER and XOAUTH2: asks the token service about each token (RFC 7662).
--
--     policy = { "oauth2" },
--     settings = { oauth2 = {
--       url = "https://idp.example.org/introspect",
--       client = c.secret.file "/etc/moongate/introspection",    -- "id:secret"
--       upstream = "pool:imap",
--     } },
--
-- Settings:
--
--     url                   the introspection endpoint
--     client                the gateway's own "id:secret" there
--     timeout               seconds (3)
--     cache                 seconds that an answer counts (60): so long may a revoked token be
--                           good; of a token that is not, five at most; 0: asks each time.
--                           `moongate purge oauth2` forgets all
--     ca                    PEM to trust instead of what the machine does
--     user_claim            what holds the user's name ("username")
--     issuer, audience      what `iss` must be, and `aud` must have, when they are set
--     scope                 words that `scope` must have
--     openid_configuration  a URL that refused clients are told
--     upstream              where logins go; by default what the listener says
--
-- The name that the client gives must be the token's own; a client that gives none is logged in by
-- the token's. The upstream gets the same token. A service that does not answer, or not with 200,
-- is a temporary failure. Logins without a token are left to the next policy.
local http = require "moongate.http"
local moongate = require "moongate"

local settings = moongate.settings("oauth2", {
  url = { "string", required = true },
  client = { "secret", required = true },
  timeout = { "duration", default = 3, min = 0.05 },
  cache = { "duration", default = 60, min = 0, max = 3600 },
  ca = "string",
  user_claim = { "string", default = "username" },
  issuer = "string",
  audience = "string",
  scope = { "list", of = "string", default = {} },
  openid_configuration = "string",
  upstream = "target",
})

local function is_token(mechanism)
  return mechanism == "OAUTHBEARER" or mechanism == "XOAUTH2"
end

local function scope_text()
  local words = {}
  for _, word in ipairs(settings.scope) do table.insert(words, word) end
  return words[1] and table.concat(words, " ") or nil
end

local function refuse(reason, status)
  return moongate.reject { reason = "invalid-token", log = reason, sasl = {
    status = status or "invalid_token", scope = scope_text(),
    openid_configuration = settings.openid_configuration } }
end

--- What the service says of the token; or nil, why it says nothing.
local function ask(token)
  local response, err = http.post(settings.url, {
    basic_auth = settings.client,
    form = { token = token, token_type_hint = "access_token" },
    headers = { Accept = "application/json" },
    timeout = settings.timeout,
    ca = settings.ca,
  })
  if not response then return nil, err end
  if response.status ~= 200 then return nil, "introspection: status " .. response.status end
  local claims, problem = response:json()
  if type(claims) ~= "table" or type(claims.active) ~= "boolean" then
    return nil, problem or "introspection: no \"active\""
  end
  return claims
end

local introspect = settings.cache == 0 and ask or moongate.memoize(function(token)
  local claims, err = ask(token)
  if not claims then return nil, err end
  return claims.active and claims or false
end, { name = "oauth2", ttl = settings.cache, negative_ttl = math.min(settings.cache, 5) })

local function has(value, wanted)
  for _, one in ipairs(type(value) == "table" and value or { value }) do
    if one == wanted then return true end
  end
  return false
end

local function grants(scope)
  local granted = {}
  for word in (type(scope) == "string" and scope or ""):gmatch "%S+" do granted[word] = true end
  for _, wanted in ipairs(settings.scope) do
    if not granted[wanted] then return false end
  end
  return true
end

--- Why the token is refused, or nil.
local function problem_of(claims)
  if not claims or not claims.active then return "not active" end
  if type(claims.exp) == "number" and claims.exp <= moongate.time() then return "expired" end
  if settings.issuer and claims.iss ~= settings.issuer then return "another issuer" end
  if settings.audience and not has(claims.aud, settings.audience) then return "another audience" end
  return nil
end

local policy = {}

--- @param credentials moongate.Credentials
--- @return moongate.Decision?
function policy.auth(_, credentials)
  if not is_token(credentials.mechanism) then return nil end
  if credentials.token:len() == 0 then return refuse "the client asks for a token" end
  local claims, err = introspect(credentials.token)
  if claims == nil then return moongate.tempfail { log = err } end
  local problem = problem_of(claims)
  if problem then return refuse(problem) end
  if not grants(claims.scope) then return refuse("scope", "insufficient_scope") end
  local user = claims[settings.user_claim]
  if type(user) ~= "string" or user == "" then return refuse "the token names no user" end
  if credentials.user ~= "" and credentials.user ~= user then return refuse "another user" end
  return moongate.accept { user = user, upstream = settings.upstream,
    upstream_auth = "passthrough" }
end

return policy
