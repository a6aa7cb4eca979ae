--- Users in an LDAP directory, which checks their passwords (a bind).
--
--     policy = { "ldap" },
--     settings = { ldap = {
--       url = "ldaps://ldap.example.org",
--       bind_dn = "cn=gateway,dc=example,dc=org", password = c.secret.file "/run/secrets/ldap",
--       base = "ou=people,dc=example,dc=org", filter = "(&(objectClass=person)(mail={user}))",
--       upstream = "imap.internal",
--     } },
--
-- Settings:
--
--     dn         the name of the user's entry, {user} where the user's name goes:
--                "uid={user},ou=people,dc=example,dc=org"; or
--     base       where the entry is looked for, with
--     filter     which it is ("(uid={user})")
--     user       the attribute with the name that goes on to the upstream; else the client's own
--     attribute  the attribute with the upstream, "host:port" or "pool:NAME"; may be absent
--     upstream   for users without one of their own; else the listener's
--
-- and those of ldap.pool: url, bind_dn, password, starttls, timeout, size, profile, server_name,
-- verify, pin. `user` and `attribute` need `base`.
--
-- {user} is escaped for where it stands. A filter that finds two entries lets nobody in. A
-- directory that does not answer is a temporary failure, never a refusal.
local ldap = require "moongate.ldap"
local moongate = require "moongate"

local settings = moongate.settings("ldap", {
  url = { "string", required = true },
  bind_dn = "string",
  password = "secret",
  starttls = "boolean",
  timeout = { "duration", default = 5, min = 0.05 },
  size = { "integer", default = 8, min = 1, max = 1000 },
  profile = "string",
  server_name = "string",
  verify = "boolean",
  pin = "data",
  dn = "string",
  base = "string",
  filter = { "string", default = "(uid={user})" },
  user = "string",
  attribute = "string",
  upstream = "target",
})

if (settings.dn == nil) == (settings.base == nil) then
  error "settings: ldap: either `dn` or `base` is needed"
end

local directory = ldap.pool {
  url = settings.url, bind_dn = settings.bind_dn, password = settings.password,
  starttls = settings.starttls, timeout = settings.timeout, size = settings.size,
  profile = settings.profile, server_name = settings.server_name, verify = settings.verify,
  pin = settings.pin,
}

local REFUSED = moongate.reject { reason = "bad-credentials" }

local function fill(template, text)
  return (template:gsub("{user}", function() return text end))
end

--- The entry of the user: its name and attributes; nil if there is none, or more than one.
local function find(user)
  if settings.dn then return { dn = fill(settings.dn, ldap.escape_dn(user)), attributes = {} } end
  local found, err = directory:search {
    base = settings.base, filter = fill(settings.filter, ldap.escape_filter(user)), limit = 2,
    attributes = { settings.user or "1.1", settings.attribute },
  }
  if not found then return nil, err end
  if #found > 1 then return nil, "the filter finds more than one entry" end
  return found[1]
end

local function first(entry, name)
  local values = name and entry.attributes[name:lower()]
  return values and values[1]
end

local policy = {}

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision
function policy.auth(_, credentials)
  if not credentials.password then return REFUSED end
  local entry, err = find(credentials.user)
  if err then return moongate.tempfail { log = err } end
  if not entry then return REFUSED end

  local fits, problem = directory:bind(entry.dn, credentials.password)
  if fits == nil then return moongate.tempfail { log = problem } end
  if not fits then return REFUSED end
  return moongate.accept {
    user = first(entry, settings.user) or credentials.user,
    upstream = first(entry, settings.attribute) or settings.upstream,
  }
end

return policy
