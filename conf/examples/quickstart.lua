--- A gateway in front of one Dovecot and one Postfix: what ./scripts/dev/start runs.
--
-- Who may log in stands in scripts/quickstart_users.lua. Where the two servers are stands in
-- quickstart_servers.lua; the demonstration brings one with the ports that it found free.
local c = require "moongate.config"
local servers = require "quickstart_servers"

return c.gateway {
  workers = "auto",
  user = "nobody",                       -- the workers' user when started as root
  control = servers.control,           -- what `moongate status` and others talk to
  log = { level = "info", format = "text" },

  c.listen "imap" {
    address = servers.listen.imap,
    protocol = "imap",
    policy = { "quickstart_users" },
    upstream = servers.imap,             -- where a user goes if no policy says otherwise
  },
  c.listen "pop3" {
    address = servers.listen.pop3,
    protocol = "pop3",
    policy = { "quickstart_users" },
    upstream = servers.pop3,
  },
  c.listen "submission" {
    address = servers.listen.submission,
    protocol = "smtp",
    policy = { "quickstart_users" },
    upstream = servers.submission,
  },
}
