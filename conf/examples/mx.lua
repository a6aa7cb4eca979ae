--- The MX of a domain: recipients that don't exist are refused before their mail is sent, and
-- clients on a block list go to a server of their own.
local c = require "moongate.config"

return c.gateway {
  workers = "auto",
  log = { level = "info" },
  pools = {
    mx = { "10.0.0.31:25", "10.0.0.32:25" },
    quarantine = { "10.0.0.39:25" },
  },
  settings = {
    recipients = {
      domains = { "example.org", "example.net" },
      url = "http://127.0.0.1:9100/rcpt/",
      blocklist = "zen.dnsbl.example",
      upstream = "pool:mx",
      quarantine = "pool:quarantine",
    },
  },

  c.listen "mx" { address = "0.0.0.0:25", protocol = "smtp", auth = "none",
    policy = { "recipients" } },
}
