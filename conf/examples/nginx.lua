--- What nginx's mail proxy does with `auth_http`: an HTTP server says who may log in, and where.
--
--     auth_http 127.0.0.1:9000/auth;
--     auth_http_header X-Auth-Key secret;
--     server { listen 143; protocol imap; }
--     server { listen 110; protocol pop3; }
--     server { listen 587; protocol smtp; }
local c = require "moongate.config"

return c.gateway {
  workers = "auto",
  log = { level = "info" },
  settings = {
    auth_http = {
      url = "http://127.0.0.1:9000/auth",
      timeout = 5,
      headers = { ["X-Auth-Key"] = "secret" },
    },
  },

  c.listen "imap" { address = "0.0.0.0:143", policy = { "auth_http" } },
  c.listen "pop3" { address = "0.0.0.0:110", policy = { "auth_http" } },
  c.listen "submission" { address = "0.0.0.0:587", protocol = "smtp", policy = { "auth_http" } },
}
