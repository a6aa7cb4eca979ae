--- A gateway for several tenants, each with its own token service: the name that a client asks for
-- in TLS says which one must have made its token. scripts/tenant_tokens.lua decides.
local c = require "moongate.config"

local tls = {
  mode = "implicit",
  certificate = "/etc/moongate/tls/mail.example.org.pem",
  names = {
    ["mail.acme.example"] = { certificate = "/etc/moongate/tls/mail.acme.example.pem" },
    ["mail.umbrella.example"] = { certificate = "/etc/moongate/tls/mail.umbrella.example.pem" },
  },
}

local function listen(name, address, protocol, upstream)
  return c.listen(name) {
    address = address, protocol = protocol, upstream = upstream, tls = tls,
    mechanisms = { "OAUTHBEARER", "XOAUTH2" }, policy = { "tenant_tokens" },
  }
end

return c.gateway {
  workers = "auto",
  pools = {
    imap = { "10.0.0.11:143", "10.0.0.12:143" },
    pop3 = { "10.0.0.11:110", "10.0.0.12:110" },
    submission = { "10.0.0.21:587" },
  },
  settings = {
    tenant_tokens = {
      ["mail.acme.example"] = {
        domain = "acme.example", issuer = "https://login.acme.example", audience = "mail",
        jwks_url = "https://login.acme.example/jwks",
      },
      ["mail.umbrella.example"] = {
        domain = "umbrella.example", issuer = "https://id.umbrella.example/", audience = "imap",
        jwks_url = "https://id.umbrella.example/keys", scope = "mail",
      },
    },
  },

  listen("imaps", "0.0.0.0:993", "imap", "pool:imap"),
  listen("pop3s", "0.0.0.0:995", "pop3", "pool:pop3"),
  listen("submissions", "0.0.0.0:465", "smtp", "pool:submission"),
}
