--- Limits logins and sessions of one client address, for all workers of this gateway.
--
--     shared = { limits = "8m" },
--     policy = { "limits", "auth_http" },
--     settings = { limits = { rate = "10/m", sessions = 50 } },
--
-- Settings, all of which may be left out:
--
--     dict      the table of `shared` that it counts in ("limits")
--     rate      logins that an address may try, successful or not: "20/m", or /s, /h, /d ("20/m")
--     burst     how many of them at once (20)
--     sessions  logged in at a time; 0: any number (0)
--
-- While the table can't be used, everybody hears of a temporary failure. The address is that of the
-- client, whoever stands in front of the gateway: see "Who the client is" in conf/README.md.
local limit = require "moongate.limit"
local moongate = require "moongate"

local settings = moongate.settings("limits", {
  dict = { "string", default = "limits" },
  rate = { "string", default = "20/m" },
  burst = { "integer", default = 20, min = 1, max = 1000000 },
  sessions = { "integer", default = 0, min = 0, max = 1000000 },
})

local logins = limit.bucket {
  dict = settings.dict, rate = settings.rate, burst = settings.burst, name = "logins",
}
local sessions = settings.sessions > 0 and limit.concurrent {
  dict = settings.dict, limit = settings.sessions, name = "sessions",
}

local policy = {}

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.auth(session)
  local ip = session.client.ip
  local may_try, err = logins:take(ip)
  if may_try == nil then return moongate.tempfail { log = err } end
  if not may_try then return moongate.reject { reason = "rate-limited" } end
  if not sessions then return end
  local held, why = sessions:take(ip, session)
  if held == nil then return moongate.tempfail { log = why } end
  if not held then return moongate.reject { reason = "too-many-sessions" } end
end

return policy
