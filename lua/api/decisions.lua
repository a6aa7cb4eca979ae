--- What a hook may answer: `moongate.accept { ... }` and so on. The format is explained in
-- README.md; `argument` is there where a decision is made of one text instead of a table.
local text = { "text", "string", optional = true, max_length = 400,
  doc = "one line that the client sees instead of the reason's own" }
local code = { "code", "string", optional = true,
  doc = "SMTP: \"535\", or \"535 5.7.8\" with the enhanced code; 4xx or 5xx" }
local enhanced = { "enhanced", "string", optional = true, doc = "SMTP: \"5.7.8\"" }
local delay = { "delay", "number", default = 0, unit = "seconds", min = 0, max = 60,
  doc = "before the client hears of it" }
local close = { "close", "boolean", default = false, doc = "the session ends with it" }
local log = { "log", "string|Failure", optional = true, doc = "for the log only; cut at 400 bytes" }

local function upstream(name, doc)
  return { name, "string|Decision", optional = true,
    doc = "\"host:port\", \"pool:NAME\" or a `to`: " .. doc }
end

local pool = { "pool", "string", optional = true, max_length = 400,
  doc = "one of the configuration's `pools`, in place of an address" }

return {
  {
    "accept", doc = "Lets the client in. Nothing else does.",
    fields = {
      { "user", "string", optional = true, max_length = 1024,
        doc = "the name upstream, instead of the client's own" },
      upstream("upstream", "where the session goes, if `route` does not say otherwise; else the "
        .. "listener's `upstream`"),
      pool,
      { "upstream_auth", "Decision|\"passthrough\"", optional = true,
        doc = "a `login`: how to log in there; \"passthrough\", which is the default: as the "
          .. "client did" },
      { "vars", "table", optional = true, doc = "is put into `session.vars`" },
      log,
    },
  },
  {
    "reject", doc = "Refuses, for good.",
    fields = {
      { "reason", "Reason|string", optional = true, max_length = 400,
        doc = "the policy's own word, which is logged; some choose the code that the client "
          .. "hears. By default what the hook says" },
      text, code, enhanced, delay, close,
      { "sasl", "string|table", optional = true, max_length = 1024,
        doc = "what OAUTHBEARER and XOAUTH2 are refused with: JSON, or `{ status =, scope =, "
          .. "schemes =, openid_configuration = }`" },
      log,
    },
  },
  {
    "tempfail", doc = "Refuses for the moment: it is not the client's fault. Also what every "
      .. "error, time-out and missing decision leads to.",
    fields = { log, text, code, enhanced, delay, close },
  },
  {
    "wait", doc = "The same hook is asked again later, up to 5 times.",
    fields = {
      { "seconds", "number", default = 1, unit = "seconds", min = 0, max = 60,
        doc = "0 is taken as 1" },
    },
  },
  {
    "to", doc = "Where the session goes. `address`, `host` or `pool` is needed. A pool has its own "
      .. "settings: only `key` and `fallback` go with it.",
    fields = {
      upstream("address", "of a `to` all options are taken, and the others here change them"),
      pool,
      { "key", "string", optional = true, max_length = 1024,
        doc = "with a pool: the same key goes to the same member, while that is up" },
      { "host", "string", optional = true, max_length = 253,
        doc = "a name, an address or \"unix:/path\"" },
      { "port", "integer", optional = true, min = 1, max = 65535,
        doc = "by default the protocol's own" },
      { "tls", "string", default = "off", values = { "off", "starttls", "implicit" } },
      { "profile", "string", default = "default", doc = "one of the configuration's tls_profiles" },
      { "pin", "string|string[]", optional = true,
        doc = "\"sha256/<base64>\": its public key is one of these; at most 4" },
      { "verify", "boolean", default = true,
        doc = "false: anybody is believed; with `pin`, anybody that has the key" },
      { "server_name", "string", optional = true, max_length = 400,
        doc = "the name in its certificate; by default the host" },
      { "proxy_protocol", "string", optional = true, values = { "v1", "v2" },
        doc = "a PROXY header is sent first" },
      { "trusted", "boolean", default = true, doc = "false: it is not told who the client is" },
      { "source", "string", optional = true, doc = "our own IP address in the connection" },
      upstream("fallback", "tried when this one, or every member, can't be reached"),
      { "connect_timeout", "number", optional = true, unit = "seconds", min = 0.001, max = 3600,
        doc = "by default the listener's" },
    },
  },
  {
    "retry", doc = "Tries again, up to the listener's `limits.upstream_attempts`.",
    fields = { upstream("upstream", "another one; by default another member of the pool, or the "
      .. "same") },
  },
  {
    "login", doc = "How the upstream is logged in at. What is left out is as the client did.",
    fields = {
      { "mechanism", "string", optional = true,
        values = { "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2" },
        doc = "by default what it offers" },
      { "user", "string", optional = true, max_length = 1024 },
      { "password", "string|Secret", optional = true, max_length = 1024 },
      { "token", "string|Secret", optional = true, max_length = 16384,
        doc = "told by OAUTHBEARER or XOAUTH2, as the upstream offers; as a password only where "
          .. "`mechanism` says so" },
      { "authzid", "string", optional = true, max_length = 1024,
        doc = "whose mailbox it is; `user` is then a master user's name" },
      { "xclient", "boolean", optional = true,
        doc = "whether it is told who the client is; by default as the listener's `forward` says" },
      { "none", "boolean", default = false,
        doc = "no login at all: SMTP, or IMAP that greets with PREAUTH" },
      { "pass_error_message", "boolean", default = false,
        doc = "its refusal goes to the client word for word" },
    },
  },
  {
    "verifier", doc = "What SCRAM knows of a password: `stored`, or all of the others.",
    fields = {
      { "stored", "string|Secret", optional = true, max_length = 1024,
        doc = "as `crypt.hash` makes it and Dovecot and PostgreSQL store it: "
          .. "{SCRAM-SHA-256}4096,salt,key,key or SCRAM-SHA-256$4096:salt$key:key" },
      { "iterations", "integer", optional = true, min = 1, max = 10000000 },
      { "salt", "string|Secret", optional = true, doc = "in base64; at most 64 bytes" },
      { "stored_key", "string|Secret", optional = true, doc = "in base64" },
      { "server_key", "string|Secret", optional = true, doc = "in base64" },
    },
  },
  {
    "certificate", doc = "The certificate that the client is shown.",
    argument = true,
    fields = {
      { "name", "string", max_length = 1024, doc = "a name in the gateway's `certificates`" },
    },
  },
}
