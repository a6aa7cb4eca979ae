--- Asks weakforced, or another server that speaks its protocol, whether a login may be tried, and
-- reports what came of it: against passwords that are guessed over many servers. Dovecot's
-- auth_policy speaks to the same server in the same words, so both may share one.
--
--     policy = { "wforce", "ldap" },
--     settings = { wforce = {
--       url = "http://10.0.0.7:8084/",
--       client = c.secret.file "/etc/moongate/wforce",         -- "wforce:password"
--       nonce = c.secret.file "/etc/moongate/wforce-nonce",
--     } },
--
-- Settings:
--
--     url        http[s]://host[:port]/ of the server; `?command=...` is put behind it
--     client     "user:password" for HTTP basic authentication
--     nonce      a secret that all who report to the server share: auth_policy_hash_nonce of
--                Dovecot. A password is reported as the first bits of
--                SHA-256(nonce, user, NUL, password)
--     bits       how many of them, a multiple of 4 (12): too few to guess the password by, enough
--                to see that it is another one
--     timeout    seconds for one question (2)
--     ca         PEM to trust instead of what the machine does, of https
--     fail_open  true: while the server does not answer, nobody is held back; else everybody hears
--                of a temporary failure
--     delay_max  seconds: of longer tarpits so many are sat through (30), and never more than half
--                of what is left of `limits.hook_timeout`
--     report     false: outcomes are not reported (true)
--
-- Before the next policies of the chain are asked, `command=allow` is: a status below 0 refuses the
-- login, 0 lets it go on, more than 0 are seconds for which it is held back first. Afterwards
-- `command=report` tells whether the login was good, when the client is relayed, or that it was
-- refused; temporary failures say nothing about a password and are not reported. Nobody waits for a
-- report, and one that fails is logged.
--
-- Told are `login`, `remote`, `pwhash`, `protocol`, `tls`, `session_id` and `device_id` (what an
-- SMTP client calls itself); of a report `success` and `policy_reject` (whether it was refused by
-- the server's own word). Logins without a password, such as with a token, are not asked about.
local http = require "moongate.http"
local moongate = require "moongate"

local settings = moongate.settings("wforce", {
  url = { "string", required = true },
  client = "secret",
  nonce = { "secret", required = true },
  bits = { "integer", default = 12, min = 4, max = 256 },
  timeout = { "duration", default = 2, min = 0.05 },
  ca = "string",
  fail_open = { "boolean", default = false },
  delay_max = { "duration", default = 30, min = 0, max = 60 },
  report = { "boolean", default = true },
})

if settings.bits % 4 ~= 0 then error("wforce: bits: a multiple of 4 expected", 0) end

local url = settings.url .. (settings.url:find("?", 1, true) and "&" or "?") .. "command="

--- The first bits of the digest as a number, as Dovecot writes it: whole bytes, zeros in front.
local function pwhash(user, password)
  local digits = settings.bits / 4
  local hash = password:sha256(settings.nonce, user .. "\0"):sub(1, digits)
  return digits % 2 == 1 and "0" .. hash or hash
end

--- What the server answers; or nil, why it does not.
local function ask(command, attempt)
  local response, err = http.post(url .. command, {
    json = attempt, basic_auth = settings.client, timeout = settings.timeout, ca = settings.ca,
  })
  if not response then return nil, err end
  if response.status ~= 200 then return nil, "wforce: HTTP status " .. response.status end
  local answer, problem = response:json()
  if type(answer) ~= "table" then return nil, problem or "wforce: no JSON object" end
  return answer
end

--- The status of `allow`; or nil, why there is none.
local function status_of(attempt)
  local answer, err = ask("allow", attempt)
  if not answer then return nil, err end
  local status = answer.status
  if type(status) ~= "number" or status % 1 ~= 0 then return nil, "wforce: no \"status\"" end
  return status, type(answer.msg) == "string" and answer.msg or ""
end

local function report(attempt, id)
  local answer, err = ask("report", attempt)
  if not answer then
    moongate.log("warn", "wforce: a login was not reported", { session = id, why = tostring(err) })
  end
end

--- Where the session keeps an attempt until it is told what came of it.
local function place_of(session) return "wforce" .. session.attempt end

--- Reports the attempt, once; nobody waits for it.
local function tell(session, success)
  local place = place_of(session)
  local attempt = session.vars[place]
  if not attempt then return end
  session.vars[place] = nil
  attempt.success = success
  moongate.detach(report, attempt, session.id)
end

local policy = {}

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision?
function policy.auth(session, credentials)
  local place = place_of(session)
  if not credentials.password or session.vars[place] then return nil end
  local attempt = {
    login = credentials.user, remote = session.client.ip or "",
    pwhash = pwhash(credentials.user, credentials.password), protocol = session.protocol,
    tls = session.tls ~= nil, session_id = session.id, device_id = session.client.helo or "",
  }
  local status, message = status_of(attempt)
  if not status then
    if not settings.fail_open then return moongate.tempfail { log = message } end
    session:log("warn", "wforce does not answer", { why = tostring(message) })
    status = 0
  end
  attempt.policy_reject = status < 0
  session.vars[place] = attempt
  if status < 0 then
    return moongate.reject { reason = "bad-credentials", log = "wforce: " .. message }
  end
  if status > 0 then
    moongate.sleep(math.min(status, settings.delay_max, session:deadline() / 2))
  end
  return nil -- the next policy decides who may log in
end

if settings.report then
  --- @param session moongate.Session
  --- @param refusal moongate.Refusal
  function policy.refused(session, refusal)
    if refusal.temporary then
      session.vars[place_of(session)] = nil
    else
      tell(session, false)
    end
  end

  --- @param session moongate.Session
  function policy.spliced(session) tell(session, true) end
end

return policy
