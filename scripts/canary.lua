--- Sends a share of all users to the next version of an upstream, always the same ones.
--
--     policy = { "passwd_file", "canary" },
--     settings = { canary = { current = "pool:imap", next = "pool:imap-next", percent = 5 } },
--
-- Settings:
--
--     current  the upstream of all others, and of the share while `next` can't be reached
--     next     the upstream of the share
--     percent  how large it is, 0 to 100: 5
--     seed     a text; another one chooses other users: "canary"
--
-- Who is in the share is `hash.percent(user, seed) < percent`, so any program can tell; who is in
-- it at 5 % still is at 10 %. To compare another auth server without letting it decide, see
-- `shadow` in conf/README.md.
local moongate = require "moongate"
local hash = require "moongate.hash"

local settings = moongate.settings("canary", {
  current = { "target", required = true },
  next = { "target", required = true },
  percent = { "number", default = 5, min = 0, max = 100 },
  seed = { "text", default = "canary" },
})

return {
  --- @param session moongate.Session
  --- @return moongate.Decision
  route = function(session)
    local user = (session.user or ""):lower()
    if hash.percent(user, settings.seed) >= settings.percent then
      return moongate.to { address = settings.current }
    end
    session:count "canary_sessions_total"
    return moongate.to { address = settings.next, fallback = settings.current }
  end,
}
