--- env/staging.lua -- a gateway to try things with, on high ports: `moongate run --env staging`.
local c = require "moongate.config"

return {
  workers = c.new(1),
  log     = c.new { level = "debug" },

  listen = {
    imap       = { address = "127.0.0.1:1143" },
    pop3       = { address = "127.0.0.1:1110", protocol = c.new "pop3" },
    submission = { address = "127.0.0.1:1587", protocol = c.new "smtp" },
  },
}
