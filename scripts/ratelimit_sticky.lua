--- Limits logins from one address, and keeps each user at one server, for all workers of all
-- gateways that share a Redis server.
--
--     policy = { "ratelimit_sticky", "auth_http" },
--     settings = { ratelimit_sticky = {
--       url = "redis://10.0.0.2", password = c.secret.file "/etc/moongate/redis",
--       nodes = { "10.0.0.11:143", "10.0.0.12:143" },
--     } },
--
-- Settings:
--
--     url        redis://host[:port][/database], rediss:// for TLS, or unix:/path
--     password   of Redis, and `user` if it has several
--     profile    rediss: one of `tls_profiles`
--     timeout    seconds for one question (0.25)
--     size       connections a worker (32)
--     limit      logins from one address in `window` seconds, successful or not (20)
--     window     seconds (60)
--     nodes      the servers, any of which can serve any user; without them nobody is routed
--     remember   seconds for which a user stays at a server after a login (86400)
--     fail_open  true: while Redis is down, nobody is limited and each user has the server of the
--                ring; else everybody hears of a temporary failure
--     prefix     of the names in Redis ("mg:")
--
-- A user whom Redis does not know goes to the server that the hash of the name leads to, on a ring
-- of all servers, or the next one on it that is healthy: to the same from every gateway. Where two
-- choose differently at once, the first counts for both. When a server can't be reached its users
-- are given to the next one on the ring.
local hash = require "moongate.hash"
local moongate = require "moongate"
local redis = require "moongate.redis"

local settings = moongate.settings("ratelimit_sticky", {
  url = { "string", required = true },
  user = "string",
  password = "secret",
  profile = "string",
  timeout = { "duration", default = 0.25, min = 0.01 },
  size = { "integer", default = 32, min = 1, max = 1000 },
  limit = { "integer", default = 20, min = 1 },
  window = { "duration", default = 60, min = 1 },
  nodes = { "list", of = "target" },
  remember = { "duration", default = 86400, min = 1 },
  fail_open = { "boolean", default = false },
  prefix = { "string", default = "mg:" },
})

local shared = redis.pool {
  url = settings.url, user = settings.user, password = settings.password,
  profile = settings.profile, timeout = settings.timeout, size = settings.size,
}

-- Counts, and begins the window with the first: in one step, so that none is left without an end.
local COUNT = [[
local n = redis.call("INCR", KEYS[1])
if n == 1 then redis.call("PEXPIRE", KEYS[1], ARGV[1]) end
return n]]

-- Deletes only what is still the server that failed: another gateway may have chosen anew.
local FORGET = [[
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0]]

local function tries_of(session) return settings.prefix .. "try:" .. session.client.ip end

local function node_of(session) return settings.prefix .. "node:" .. session.user end

local function is_node(address)
  for _, node in ipairs(settings.nodes) do
    if node == address then return true end
  end
  return false
end

local ring = settings.nodes and hash.ring(settings.nodes)

--- The user's healthy server on the ring, unless it is `but`; nil if there is none.
local function choose(session, but)
  return ring:pick(session.user, function(node)
    return node ~= but and moongate.upstream(node):healthy()
  end)
end

--- The server that all gateways shall use for the user, and the failure of Redis if it failed.
local function agree(session, but)
  local key = node_of(session)
  local known, err = shared:get(key)
  if err then return nil, err end
  if known and known ~= but and is_node(known) and moongate.upstream(known):healthy() then
    local kept, failure = shared:expire(key, settings.remember)
    return not failure and (kept ~= nil) and known or nil, failure
  end
  local node = choose(session, but)
  if not node then return nil end
  if known then
    local _, failure = shared:eval(FORGET, { key }, { known })
    if failure then return nil, failure end
  end
  local first, failure = shared:set(key, node, { ttl = settings.remember, only = "absent" })
  if failure then return nil, failure end
  if first then return node end
  local other
  other, failure = shared:get(key) -- another gateway was quicker
  return other ~= but and other or node, failure
end

local function place(session, but)
  local node, err = agree(session, but)
  if err and settings.fail_open then
    session:log("warn", "users are not kept at one server", { why = tostring(err) })
    node, err = choose(session, but), nil
  end
  return node, err or "no server is healthy"
end

local policy = {}

--- Whoever has a wrong proof never comes to `auth`.
--- @param session moongate.Session
--- @return moongate.Decision?
function policy.verifier(session)
  local count, err = shared:eval(COUNT, { tries_of(session) }, { settings.window * 1000 })
  if not count then
    if not settings.fail_open then return moongate.tempfail { log = tostring(err) } end
    session:log("warn", "logins are not limited", { why = tostring(err) })
    return nil
  end
  if count > settings.limit then
    return moongate.reject { reason = "rate-limited", delay = 3, close = true }
  end
  return nil -- the next policy decides who may log in
end

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision?
function policy.auth(session, credentials)
  if credentials.mechanism:find "^SCRAM" then return nil end -- which was counted already
  return policy.verifier(session)
end

if settings.nodes then
  --- @param session moongate.Session
  --- @return moongate.Decision
  function policy.route(session)
    local node, err = place(session)
    if not node then return moongate.tempfail { log = tostring(err) } end
    return moongate.to { address = node }
  end

  --- @param session moongate.Session
  --- @param upstream moongate.Upstream
  --- @return moongate.Decision
  function policy.connect_failed(session, upstream)
    local node, err = place(session, upstream.address)
    if not node then return moongate.tempfail { log = tostring(err) } end
    return moongate.retry { upstream = node }
  end
end

return policy
