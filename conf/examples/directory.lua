--- A directory service: LDAP knows the passwords, a database where each mailbox is.
--
-- Where everything is stands in directory_servers.lua, which is for the gateway's eyes only: it
-- holds a password. In the database:
--
--     create table mailbox (login text, protocol text, host text, port integer,
--       primary key (login, protocol));
local c = require "moongate.config"
local servers = require "directory_servers"

return c.gateway {
  workers = "auto",
  user = "nobody",                     -- the workers' user when started as root
  tls_profiles = {
    default = { ca = servers.ca },     -- who may say that it is the directory, or the database
  },
  settings = {
    directory = {
      ldap = { url = servers.ldap, timeout = 2 },
      dn = servers.dn,
      sql = { url = servers.database, password = servers.password, timeout = 2 },
      query = "select host, port from mailbox where login = $1 and protocol = $2",
    },
  },

  c.listen "imap" {
    address = servers.listen.imap, protocol = "imap", policy = { "directory" },
  },
  c.listen "pop3" {
    address = servers.listen.pop3, protocol = "pop3", policy = { "directory" },
  },
  c.listen "submission" {
    address = servers.listen.submission, protocol = "smtp", policy = { "directory" },
  },
}
