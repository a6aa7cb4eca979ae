--- Every directive of nginx's mail proxy has a case that shows its effect, on the wire or in a log.
package.path = "lua/?.lua;" .. package.path

local listen = require "moongate.nginx.listen"
local log = require "moongate.nginx.log"
local main = require "moongate.nginx.main"
local rows = require "moongate.nginx.directives"

local BESIDE, IMPORT = "interop/nginx_spec.lua", "session/nginx_import_spec.lua"
local TLS, LISTEN, MAIN = "interop/nginx_tls_spec.lua", "interop/nginx_listen_spec.lua",
  "interop/nginx_main_spec.lua"
local LOGINS, RESOLVER = "interop/nginx_mechanisms_spec.lua", "interop/nginx_resolver_spec.lua"

--- Of a directive, or of "directive parameter": the file below spec/, and cases in it.
local CASES = {
  server = { LISTEN, "an address and a port; bind" },
  listen = { LISTEN, "an address and a port; bind" },
  ["listen ssl"] = { TLS, "listen ssl: the certificate, and nginx's own ciphers" },
  ["listen proxy_protocol"] = { LISTEN, "proxy_protocol: nobody is served without a header" },
  ["listen bind"] = { LISTEN, "an address and a port; bind" },
  ["listen backlog"] = { LISTEN, "backlog, and 511 without" },
  ["listen rcvbuf"] = { LISTEN, "rcvbuf and sndbuf" },
  ["listen sndbuf"] = { LISTEN, "rcvbuf and sndbuf" },
  ["listen ipv6only"] = { LISTEN, "ipv6only: off takes IPv4, too" },
  ["listen so_keepalive"] = { LISTEN, "so_keepalive: idle time, interval and probes; on; off" },
  ["listen multipath"] = { IMPORT, "multipath: plain TCP" },
  protocol = { BESIDE, "greeting of imap", "greeting of pop3", "greeting of smtp" },
  server_name = { BESIDE, "greeting of smtp", "EHLO and HELO of smtp" },
  timeout = { BESIDE, "timeout of imap", "timeout of pop3, however busy", "timeout of smtp" },
  resolver = { RESOLVER, "resolver: the client's name", "resolver off: no name" },
  ["resolver valid"] = { RESOLVER, "valid=: that long, however short the answer lives",
    "valid=: no longer, however long the answer lives" },
  ["resolver ipv4"] = { "conf/import_spec.lua", "reads the parameters of resolver" },
  ["resolver ipv6"] = { RESOLVER, "of IPv6; ipv6=off: of IPv4 alone" },
  ["resolver status_zone"] = { "conf/import_spec.lua", "reads the parameters of resolver" },
  resolver_timeout = { RESOLVER, "resolver_timeout: a server that does not answer" },
  max_errors = { BESIDE, "max_errors of smtp", "max_errors of imap" },
  error_log = { MAIN, "several files below the prefix, and standard error, each from its own level "
    .. "on" },
  ["error_log server"] = { MAIN, "syslog: server, and nginx's own facility and tag" },
  ["error_log facility"] = { MAIN,
    "syslog: facility, tag and nohostname; severity is that of the line" },
  ["error_log tag"] = { MAIN,
    "syslog: facility, tag and nohostname; severity is that of the line" },
  ["error_log severity"] = { MAIN,
    "syslog: facility, tag and nohostname; severity is that of the line" },

  auth_http = { BESIDE, "imap", "pop3", "smtp" },
  auth_http_header = { LOGINS, "CRAM-MD5: " },
  auth_http_pass_client_cert = { TLS,
    "auth_http_pass_client_cert: the certificate, beside what is told of it" },
  auth_http_timeout = { IMPORT, "auth_http_timeout" },

  proxy_buffer = { IMPORT, "proxy_buffer: the longest reply of an upstream" },
  proxy_timeout = { IMPORT, "proxy_timeout: a session without a byte" },
  proxy_pass_error_message = { BESIDE, "what an upstream refuses",
    "the words of an upstream, with proxy_pass_error_message" },
  proxy_protocol = { LOGINS, "the addresses of a PROXY header" },
  proxy_smtp_auth = { LOGINS, "proxy_smtp_auth: PLAIN upstream, and no name in XCLIENT" },
  xclient = { BESIDE, "smtp, by XCLIENT alone", "smtp, without XCLIENT" },
  set_real_ip_from = { LOGINS, "the addresses of a PROXY header" },

  imap_auth = { BESIDE, "configured capabilities of imap" },
  imap_capabilities = { BESIDE, "configured capabilities of imap" },
  imap_client_buffer = { BESIDE, "imap_client_buffer: a command that is too long" },
  pop3_auth = { BESIDE, "configured CAPA of pop3", "greeting of apop" },
  pop3_capabilities = { BESIDE, "configured CAPA of pop3" },
  smtp_auth = { BESIDE, "configured EHLO of smtp", "recipients without a login" },
  smtp_capabilities = { BESIDE, "configured EHLO of smtp" },
  smtp_client_buffer = { BESIDE, "smtp_client_buffer: a command that is too long" },
  smtp_greeting_delay = { BESIDE, "smtp that speaks too early", "smtp that waits" },

  ssl = { TLS, "ssl on, of old configurations" },
  starttls = { TLS, "starttls on: offered, and of use once: ",
    "starttls only: no login in clear: " },
  ssl_certificate = { TLS, "ssl_certificate and ssl_certificate_key: one for each kind of key" },
  ssl_certificate_key = { TLS,
    "ssl_certificate and ssl_certificate_key: one for each kind of key" },
  ssl_password_file = { TLS, "ssl_password_file: one of its lines opens the key" },
  ssl_protocols = { TLS, "ssl_protocols: those that are named" },
  ssl_ciphers = { TLS, "ssl_ciphers: none but these, in the order of the client" },
  ssl_prefer_server_ciphers = { TLS, "ssl_prefer_server_ciphers: in the order of the server" },
  ssl_dhparam = { TLS, "ssl_dhparam: the parameters of the file" },
  ssl_ecdh_curve = { TLS, "ssl_ecdh_curve: this one and no other" },
  ssl_session_cache = { TLS, "ssl_session_cache: off, none, builtin and shared" },
  ssl_session_tickets = { TLS, "ssl_session_tickets: on, and off" },
  ssl_session_ticket_key = { TLS, "ssl_session_ticket_key: tickets outlive the program" },
  ssl_session_timeout = { TLS, "ssl_session_timeout: the life of a session, as clients are told" },
  ssl_verify_client = { TLS, "ssl_verify_client on: who has none, or one of somebody else's",
    "ssl_verify_client optional and optional_no_ca" },
  ssl_verify_depth = { TLS, "ssl_verify_depth: a chain that is too long, or not" },
  ssl_client_certificate = { TLS,
    "ssl_client_certificate is told to clients, ssl_trusted_certificate is not" },
  ssl_trusted_certificate = { TLS,
    "ssl_client_certificate is told to clients, ssl_trusted_certificate is not" },
  ssl_crl = { TLS, "ssl_crl: one that was revoked" },
  ssl_conf_command = { TLS, "ssl_conf_command: a setting of OpenSSL's" },

  worker_processes = { MAIN, "worker_processes: as many" },
  user = { MAIN, "user: who workers are" },
  pid = { MAIN, "pid, and worker_shutdown_timeout for sessions that are relayed" },
  worker_rlimit_nofile = { MAIN, "worker_rlimit_nofile: how many files they may open" },
  worker_shutdown_timeout = { MAIN,
    "pid, and worker_shutdown_timeout for sessions that are relayed" },
  events = { "conf/import_spec.lua", "log, pid, workers, descriptors and sessions" },
}

--- All that an imported configuration may leave without an effect.
local NOT_APPLICABLE = { proxy = true, daemon = true, load_module = true, lock_file = true,
  worker_cpu_affinity = true, ssl_certificate_compression = true }

describe("a directive of nginx", function()
  --- What the importer knows, and whether it leaves it without an effect.
  local function known()
    local found = {}
    for _, row in ipairs(rows) do found[row.name] = row.useless and "useless" or "used" end
    for _, name in ipairs(rows.others) do found[name] = "used" end
    for name in pairs(main.ROWS) do found[name] = "used" end
    for name in pairs(main.NOT_APPLICABLE) do found[name] = "useless" end
    for name in pairs(listen.PARAMETERS) do found["listen " .. name] = "used" end
    for name in pairs(log.SYSLOG) do found["error_log " .. name] = "used" end
    for name in pairs(rows.RESOLVER) do found["resolver " .. name] = "used" end
    return found
  end

  it("has a case, unless it need not have an effect", function()
    for name, use in pairs(known()) do
      if use == "useless" then
        assert.is_true(NOT_APPLICABLE[name], name)
      else
        assert.is_table(CASES[name], name .. " has no case")
      end
    end
  end)

  it("is known", function()
    local names = known()
    for name in pairs(CASES) do assert.equal("used", names[name], name) end
    for name in pairs(NOT_APPLICABLE) do assert.equal("useless", names[name], name) end
  end)

  it("has cases that are there", function()
    local texts = {}
    for name, case in pairs(CASES) do
      local path = "spec/" .. case[1]
      if not texts[path] then
        local file = assert(io.open(path))
        -- a name that is written in two pieces is one
        texts[path] = file:read("*a"):gsub("\"%s*%.%.%s*\"", "")
        file:close()
      end
      for i = 2, #case do
        local there = texts[path]:find("it(\"" .. case[i] .. "\"", 1, true)
          or texts[path]:find("[\"" .. case[i] .. "\"] =", 1, true)
        assert.truthy(there, ("%s: %s has no case \"%s\""):format(name, path, case[i]))
      end
    end
  end)
end)
