--- env/production.lua -- what production has differently: `moongate run --env production`.
--
-- Goes to /etc/moongate/env/. Maps are merged with those of moongate.lua, key by key; lists and all
-- else replace what is there. A key that is not there needs c.new(...).
local c = require "moongate.config"

return {
  workers = c.new(4),
  log     = c.new { format = "json" },

  settings = { auth_http = { url = "http://10.0.0.9:9000/auth", timeout = "2s" } },

  listen = {
    imap = { limits = { attempts = c.new(5) } },
  },
}
