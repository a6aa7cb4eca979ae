--- Asks the auth service of a running Dovecot: its passdbs decide who may log in, and where.
--
--     policy = { "dovecot" },
--     settings = { dovecot = { socket = "/run/dovecot/auth-moongate" } },
--
-- with this in dovecot.conf, so that the gateway's workers (here the user moongate) may ask:
--
--     service auth {
--       unix_listener auth-moongate {
--         user = moongate
--         mode = 0600
--       }
--     }
--
-- Settings:
--
--     socket   the path of the listener
--     service  what Dovecot is told is asked for: the passdb's %s (the listener's protocol)
--     timeout  seconds for an answer (5)
--
-- With `proxy` in a passdb's fields (`host`, `port`, `ssl`, `starttls`, `destuser`, `master`, ...)
-- the user goes there; else to the listener's upstream, under the name that Dovecot gives.
-- `nologin` with a `reason` refuses. A Dovecot that does not answer, temp_fail, and a field whose
-- meaning is not known are temporary failures, never a wrong password. Only passwords can be asked
-- about, so the listener's `mechanisms` should be PLAIN and LOGIN.
local dovecot = require "moongate.dovecot"
local moongate = require "moongate"

local settings = moongate.settings("dovecot", {
  socket = { "string", required = true },
  service = "string",
  timeout = { "duration", default = 5, min = 0.05 },
})

local check = dovecot.auth {
  socket = settings.socket, service = settings.service, timeout = settings.timeout,
}

local policy = {}

--- @param session moongate.Session
--- @param credentials moongate.Credentials
--- @return moongate.Decision
function policy.auth(session, credentials)
  return check(session, credentials)
end

return policy
