--- A directory service: LDAP checks the password, a PostgreSQL table says where the mailbox is.
--
--     policy = { "directory" },
--     settings = { directory = {
--       ldap = { url = "ldaps://ldap.example.org" },
--       dn = "uid={user},ou=people,dc=example,dc=org",
--       sql = { url = "postgres://gateway@db.example.org/mail" },
--       query = "select host, port from mailbox where login = $1",
--     } },
--
-- Settings:
--
--     ldap     options of ldap.pool
--     dn       the name of the user's entry; {user} is the user's name, escaped
--     sql      options of sql.pool
--     query    gives `host`, which may be "pool:NAME", and perhaps `port`; $1 is the user's name,
--              $2 (if it is there) the protocol: "imap", "pop3" or "smtp"
--
-- A user without a row has no mailbox. Whatever does not answer is a temporary failure.
local ldap = require "moongate.ldap"
local moongate = require "moongate"
local sql = require "moongate.sql"

local settings = moongate.settings("directory", {
  ldap = { "data", required = true },
  dn = { "string", required = true },
  sql = { "data", required = true },
  query = { "string", default = "select host, port from mailbox where login = $1" },
})

local directory = ldap.pool(settings.ldap)
local db = sql.pool(settings.sql)
local by_protocol = settings.query:find("$2", 1, true) ~= nil

local REFUSED = moongate.reject { reason = "bad-credentials" }

local policy = {}

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision
function policy.auth(_, credentials)
  if not credentials.password then return REFUSED end
  local name = ldap.escape_dn(credentials.user)
  local dn = settings.dn:gsub("{user}", function() return name end)
  local fits, err = directory:bind(dn, credentials.password)
  if fits == nil then return moongate.tempfail { log = err } end
  if not fits then return REFUSED end
  return moongate.accept { user = credentials.user }
end

--- @param session moongate.Session
--- @return moongate.Decision
function policy.route(session)
  local row, err
  if by_protocol then
    row, err = db:row(settings.query, session.user, session.protocol)
  else
    row, err = db:row(settings.query, session.user)
  end
  if err then return moongate.tempfail { log = err } end
  if not row or not row.host then return moongate.reject { reason = "no-mailbox" } end
  return moongate.to { address = row.port and row.host .. ":" .. row.port or row.host }
end

return policy
