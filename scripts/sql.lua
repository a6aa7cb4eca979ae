--- Users and their password hashes in a PostgreSQL or SQLite database.
--
--     policy = { "sql" },
--     settings = { sql = {
--       url = "postgres://gateway@db.example.org/mail",
--       password = c.secret.file "/run/secrets/db",
--       query = "select password, host from mailbox where login = $1 and active",
--       upstream = "imap.internal",
--     } },
--
-- A file of SQLite (`url = "sqlite:/var/lib/mail/users.db"`) is only read, by the user of the
-- gateway's workers; other programs may write it meanwhile, or put another in its place.
--
-- Settings:
--
--     query      gives the user's row; $1 is the name that the client sent
--                ("select login, password, upstream from users where login = $1")
--     hash       the column with the hash ("password")
--     user       the column with the name that goes on to the upstream ("login"); where there is
--                none, the client's own
--     column     the column with the upstream ("upstream"), "host:port" or "pool:NAME"; may be
--                absent or NULL
--     upstream   for users without one of their own; else the listener's
--
-- and those of sql.pool: url, password, timeout, size, tls, profile, server_name, verify, pin.
--
-- Hashes are those of moongate.crypt. A user who is not there costs as much time as one with a hash
-- of argon2. A database that does not answer, is locked, damaged or missing is a temporary failure,
-- never a refusal.
local crypt = require "moongate.crypt"
local moongate = require "moongate"
local sql = require "moongate.sql"

local settings = moongate.settings("sql", {
  url = { "string", required = true },
  password = "secret",
  timeout = { "duration", default = 5, min = 0.05 },
  size = { "integer", default = 8, min = 1, max = 1000 },
  tls = { "boolean", default = true },
  profile = "string",
  server_name = "string",
  verify = "boolean",
  pin = "data",
  query = { "string", default = "select login, password, upstream from users where login = $1" },
  hash = { "string", default = "password" },
  user = { "string", default = "login" },
  column = { "string", default = "upstream" },
  upstream = "target",
})

local db = sql.pool {
  url = settings.url, password = settings.password, timeout = settings.timeout,
  size = settings.size, tls = settings.tls, profile = settings.profile,
  server_name = settings.server_name, verify = settings.verify, pin = settings.pin,
}

local REFUSED = moongate.reject { reason = "bad-credentials" }

local policy = {}

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision
function policy.auth(_, credentials)
  if not credentials.password then return REFUSED end
  local row, err = db:row(settings.query, credentials.user)
  if err then return moongate.tempfail { log = err } end

  local hash = row and row[settings.hash]
  local fits, problem = crypt.verify(credentials.password, hash or crypt.DUMMY)
  if fits == nil then return moongate.tempfail { log = problem } end
  if not fits or not hash then return REFUSED end
  return moongate.accept {
    user = row[settings.user] or credentials.user,
    upstream = row[settings.column] or settings.upstream,
  }
end

return policy
