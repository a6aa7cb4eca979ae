--- moongate.lua -- the configuration of Moongate, as a manual page.
--
-- Goes to /etc/moongate/moongate.lua. Every key that is commented out stands
-- with its default; README.md beside this file has them all in tables.
-- `moongate check -c FILE` prints what is wrong with it. env/production.lua and
-- env/staging.lua are laid over it by `--env production`, `--env staging`.
--
-- It is Lua, but data: no files, no clock, no network. It may require further
-- files that lie beside it.
local c = require "moongate.config"

return c.gateway {
  -- Worker processes. Each serves thousands of sessions; "auto" means one for
  -- each online core.
  -- workers = "auto",

  -- Who the workers run as when the gateway is started as root, which it needs
  -- to be for ports below 1024. Workers keep no privilege and open no file.
  user = "nobody",
  -- group = "nogroup",

  -- One line a session when it ends, and what goes wrong besides. `target` is
  -- "stderr", "syslog:mail" or the path of a file, opened again on SIGUSR1.
  -- log = { level = "info", format = "text", target = "stderr" },

  -- DNS servers, asked for names; the system's by default. Answers are kept for
  -- their TTL, or for `valid`.
  -- resolver = { "127.0.0.53", valid = "30s" },

  -- Upstreams that stand in for each other; "pool:imap" is one of them wherever
  -- an upstream is written.
  -- pools = {
  --   imap = {
  --     "10.0.0.11:143", "10.0.0.12:143",
  --     { address = "10.1.0.11:143", weight = 1, backup = false },
  --     tls = "off",             -- or "starttls", "implicit"
  --     profile = "default",     -- of tls_profiles
  --     balance = "least",       -- or "round_robin", "hash": by user
  --     max_failures = 2,        -- in a row, that take a member out of service
  --     retry = 10,              -- until one login tries it again
  --   },
  -- },

  -- The socket of `moongate status`, who, kick, reload and others; without this
  -- there is none. Who may open its file may do everything that they do.
  control = {
    socket = "/run/moongate/control.sock",
    mode = "0600",
    -- owner = "root",
    -- group = "mail-admins",     -- with mode = "0660"
  },

  -- How long sessions may go on after SIGTERM.
  -- shutdown_timeout = "30s",

  -- What policies read with moongate.settings, by the policy's name.
  settings = {
    -- The auth server, in the protocol of nginx's mail proxy. It says who may
    -- log in and to which server he goes.
    auth_http = {
      url = "http://127.0.0.1:9000/auth",
      timeout = "5s",
      -- headers = { ["X-Auth-Key"] = c.secret.file "auth.key" },
      -- c.secret.env "NAME" and c.secret.command { "program" } are others.
    },
  },

  c.listen "imap" {
    -- One address or a list: IPv4, IPv6, "unix:/path".
    address = { "0.0.0.0:143", "[::]:143" },
    protocol = "imap",

    -- The chain of policies: files of the folder scripts/ beside this file, or
    -- of those that come with Moongate. They are asked in turn; the first
    -- decision wins, and without one nobody gets in.
    policy = { "auth_http" },

    -- Where a login goes if no policy says where.
    -- upstream = "imap.internal:143",

    -- In greetings; the host's own name by default.
    -- server_name = "mail.example.org",
    -- greeting = "Moongate ready",

    -- What may be used to log in. CRAM-MD5 and APOP need policies that know
    -- the passwords themselves.
    -- mechanisms = { "PLAIN", "LOGIN" },

    -- Replaces the list of capabilities, which otherwise is what the gateway
    -- can do and the upstreams were last seen to offer.
    -- capabilities = { "IMAP4rev1", "IDLE" },
    -- probe = 0,                 -- seconds between looks at `upstream`

    limits = {
      -- login_timeout = 60,      -- from accept to the end of the login
      -- handshake_timeout = 10,  -- for a PROXY header and TLS
      -- hook_timeout = 10,       -- for one chain of policies
      -- connect_timeout = 15,    -- to an upstream
      -- upstream_timeout = 30,   -- for its greeting and login
      -- idle_timeout = "1d",     -- a relayed session without a byte
      -- close_timeout = 5,       -- for the last bytes
      -- attempts = 3,            -- failed logins
      -- errors = 5,              -- protocol errors
      -- upstream_attempts = 3,   -- upstreams tried for one login
      -- command_max = "8k",      -- the longest command, literals included
      -- literal_max = "4k",
      -- reply_max = "16k",       -- of an upstream, before login is done
    },

    -- Applied to every user name before a policy sees it.
    username = {
      -- case = "keep",           -- or "lower"
      -- default_domain = "example.org",
      -- utf8 = true,
      -- max = 512,
    },

    socket = {
      -- backlog = 511,
      -- ipv6_only = true,
      -- keepalive = true,
    },
  },

  c.listen "pop3" {
    address = { "0.0.0.0:110", "[::]:110" },
    policy = { "auth_http" },
  },

  c.listen "submission" {
    address = { "0.0.0.0:587", "[::]:587" },
    policy = { "auth_http" },

    -- Who speaks before the greeting is no mail client.
    -- greeting_delay = 0,
    -- resolve_client = false,    -- look up the client's name first
    -- forward = "offered",       -- upstreams that ask hear who the client is
    -- auth = "required",         -- "none": no AUTH, the `rcpt` hook decides
  },
}
