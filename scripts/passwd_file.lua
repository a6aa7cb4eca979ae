--- Users and their password hashes in a file, one a line: `user:hash[:upstream]`.
--
--     policy = { "passwd_file" },
--     settings = { passwd_file = { path = "/etc/moongate/passwd" } },
--
--     ann@example.org:$argon2id$v=19$m=19456,t=2,p=1$...:10.0.0.5
--     bob@example.org:{SHA512-CRYPT}$6$...
--
-- Settings:
--
--     path      the file; relative to the folder of moongate.lua
--     upstream  for users without one of their own; else the listener's
--     master_user, master_password
--               how the upstream is logged in at for users that have only proved, by SCRAM, that
--               they know their password
--
-- Hashes are those of moongate.crypt: argon2, bcrypt, sha512-crypt, yescrypt and others of
-- crypt(3), and Dovecot's {SCHEME}. An upstream without a port means the protocol's own port.
-- CRAM-MD5 and APOP need the password itself: {PLAIN}. SCRAM needs that, or a verifier of its
-- mechanism: {SCRAM-SHA-256}4096,... The file is read with the configuration; a user who is not in
-- it costs as much time as one who is.
local crypt = require "moongate.crypt"
local file = require "moongate.file"
local moongate = require "moongate"
local secret = require "moongate.secret"

local settings = moongate.settings("passwd_file", {
  path = { "string", required = true },
  upstream = "target",
  master_user = "string",
  master_password = "secret",
})

local users = file.map(settings.path, {
  separator = ":", fields = { "user", "hash", "upstream" }, required = 2,
})

-- What an unknown user's password is compared with: a hash of the kind that is in the file.
local first = users:first()
local nobody = first and first.hash or crypt.DUMMY

local REFUSED = moongate.reject { reason = "bad-credentials" }

local function accept(row, login)
  return moongate.accept {
    user = row.user, upstream = row.upstream or settings.upstream, upstream_auth = login,
  }
end

--- CRAM-MD5 and APOP prove that the client knows the password, without sending it.
local function check_digest(credentials, row)
  local plain = row and row.hash:match "^{PLAIN}(.*)$"
  if not plain or not credentials:verify_cram(plain) then return REFUSED end
  return accept(row, moongate.login { password = secret.of(plain) })
end

--- The user has proved to know the password, which only {PLAIN} tells.
local function accept_proven(row)
  local plain = row.hash:match "^{PLAIN}(.*)$"
  if plain then return accept(row, moongate.login { password = secret.of(plain) }) end
  if not settings.master_user then
    return moongate.tempfail { log = "SCRAM: there is no master_user for the upstream" }
  end
  return accept(row, moongate.login { user = settings.master_user,
    password = settings.master_password, authzid = row.user })
end

local policy = {}

--- @param request moongate.VerifierRequest
--- @return moongate.Decision
function policy.verifier(_, request)
  local row = users:get(request.user)
  local hash = row and row.hash or nobody
  local plain = hash:match "^{PLAIN}(.*)$"
  if plain then
    local err
    hash, err = crypt.hash(plain, { scheme = request.mechanism:lower(), salt = request.salt,
      rounds = request.iterations })
    if not hash then return moongate.tempfail { log = err } end
  end
  local mechanism = (hash:match "^{(.-)}" or ""):upper()
  if not row or mechanism ~= request.mechanism then return REFUSED end
  return moongate.verifier { stored = hash }
end

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision
function policy.auth(_, credentials)
  local row = users:get(credentials.user)
  if credentials.response then return check_digest(credentials, row) end
  if credentials.mechanism:find "^SCRAM" then return row and accept_proven(row) or REFUSED end
  if not credentials.password then return REFUSED end

  local fits, err = crypt.verify(credentials.password, row and row.hash or nobody)
  if fits == nil then return moongate.tempfail { log = err } end
  if not fits or not row then return REFUSED end
  return accept(row)
end

return policy
