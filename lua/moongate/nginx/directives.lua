--- The directives of mail{} and its servers: what each becomes.
--
-- A row is { name, least, most = arguments, many = may be repeated, only = protocol, check =,
-- apply = }. `check(directive)` raises what is wrong with it, wherever it stands;
-- `apply(x, directive)`, for `many` with all of them as a list, writes what it becomes into the
-- listener at hand. `x` is of moongate.nginx.convert.
local files = require "moongate.nginx.files"
local reader = require "moongate.nginx.reader"
local units = require "moongate.nginx.units"

local fail = reader.fail
local rows = {
  -- what moongate.nginx.convert reads by itself
  others = { "server", "listen", "protocol", "error_log" },
}

local function row(name, least, most, fields)
  fields.name, fields.least, fields.most = name, least, most
  table.insert(rows, fields)
end

-- --- values ---

local function seconds(d)
  return units.seconds(d.arguments[1]) or fail(d, "%s: invalid time \"%s\"", d.name, d.arguments[1])
end

local function bytes(d)
  return units.bytes(d.arguments[1]) or fail(d, "%s: invalid size \"%s\"", d.name, d.arguments[1])
end

local function number(d)
  return units.number(d.arguments[1])
    or fail(d, "%s: invalid number \"%s\"", d.name, d.arguments[1])
end

local function flag(d)
  local value = units.flag(d.arguments[1])
  if value == nil then
    fail(d, "%s: invalid value \"%s\": it must be \"on\" or \"off\"", d.name, d.arguments[1])
  end
  return value
end

local function word(d) return d.arguments[1] end

--- One of some words.
local function one_of(...)
  local allowed = { ... }
  return function(d)
    for _, value in ipairs(allowed) do
      if d.arguments[1] == value then return value end
    end
    fail(d, "%s: invalid value \"%s\": %s expected", d.name, d.arguments[1],
      table.concat(allowed, ", "))
  end
end

--- All arguments are among these.
local function words_of(...)
  local allowed = {}
  for _, value in ipairs { ... } do allowed[value] = true end
  return function(d)
    for _, value in ipairs(d.arguments) do
      if not allowed[value:lower()] then fail(d, "%s: invalid value \"%s\"", d.name, value) end
    end
    return d.arguments
  end
end

--- A value that must lie between two; where it was moved, the report says so.
local function within(x, d, value, least, most, text)
  local moved = math.min(math.max(value, least), most)
  if moved ~= value then
    x:differs(d, ("%s is the %s that Moongate has"):format(text(moved),
      value > most and "most" or "least"))
  end
  return moved
end

local function duration(x, node, key, d, least, most)
  node:words(key, units.duration_text(within(x, d, seconds(d), least, most,
    units.duration_text)), x:origin(d))
end

-- --- core ---

row("server_name", 1, 1, { check = word, apply = function(x, d)
  x.listener:set("server_name", word(d), x:origin(d))
  x:kept(d, "server_name")
end })

row("timeout", 1, 1, { check = seconds, apply = function(x, d)
  local limits = x.listener:open "limits"
  duration(x, limits, "login_timeout", d, 0.1, 3600)
  for _, key in ipairs { "handshake_timeout", "connect_timeout", "upstream_timeout" } do
    duration(x, limits, key, d, 0.1, 600)
  end
  x:differs(d, "limits.login_timeout is of the whole login; nginx begins anew for the upstream, "
    .. "and after Auth-Wait")
end })

row("max_errors", 1, 1, { check = number, apply = function(x, d)
  x.listener:open("limits"):set("errors", within(x, d, number(d), 1, 1000, tostring), x:origin(d))
  x:kept(d, "limits.errors")
end })

--- What a parameter of `resolver` is read with; nil: a mistake.
rows.RESOLVER = { valid = units.seconds, ipv4 = units.flag, ipv6 = units.flag,
  status_zone = tostring }

--- The servers, and the value of each parameter by its name.
local function resolver_of(d)
  local servers, values = {}, {}
  for _, argument in ipairs(d.arguments) do
    local name, text = argument:match "^([%w_]+)=(.*)$"
    if not name then
      table.insert(servers, argument)
    else
      local read = rows.RESOLVER[name] or fail(d, "resolver: invalid parameter \"%s\"", argument)
      values[name] = read(text)
      if values[name] == nil then fail(d, "resolver: invalid \"%s\"", argument) end
    end
  end
  if #servers == 0 then fail(d, "resolver: no name servers defined") end
  return servers, values
end

--- "ip", "ip:port", "[v6]:port", or a name, which nginx looks up when it reads the file.
local function resolver_addresses(d)
  local list = {}
  for _, server in ipairs(resolver_of(d)) do
    local host, port = server:match "^([^:%[]+)(:?%d*)$"
    if not host or host:match "^%d+%.%d+%.%d+%.%d+$" then
      table.insert(list, server)
    else
      local found = files.addresses(host)
      if #found == 0 then fail(d, "resolver: host not found: \"%s\"", host) end
      for _, address in ipairs(found) do table.insert(list, address .. port) end
    end
  end
  return list
end

row("resolver", 1, 100, { only = "smtp",
  check = function(d)
    if d.arguments[1] == "off" and #d.arguments == 1 then return end
    resolver_of(d)
  end,
  apply = function(x, d)
    if d.arguments[1] == "off" then
      x:kept(d, "resolve_client is false")
      return
    end
    x.listener:set("resolve_client", true, x:origin(d))
    local _, values = resolver_of(d)
    local valid = values.valid or 0 -- which nginx takes for none
    x:use_resolver(d, resolver_addresses(d), valid > 0
      and units.duration_text(within(x, d, valid, 1, 86400, units.duration_text)) or nil)
    for _, name in ipairs { "ipv4", "ipv6" } do
      if values[name] == false then
        x:differs(d, name .. "=off: a client's name is confirmed in the client's own family alone")
      end
    end
    if values.status_zone then x:differs(d, "status_zone=: there is no such zone") end
  end })

row("resolver_timeout", 1, 1, { check = seconds, only = "smtp", apply = function(x, d)
  duration(x, x.listener, "resolve_timeout", d, 0.1, 600)
  x:kept(d, "resolve_timeout")
end })

-- --- auth_http ---

--- The url as Moongate's auth_http has it.
local function auth_url(d)
  local text = d.arguments[1]
  if text:match "^https:" then fail(d, "auth_http: nginx knows no https") end
  text = text:gsub("^http://", "")
  if text:match "^unix:" then
    local path, uri = text:match "^unix:(/[^:]*):?(.*)$"
    if not path then fail(d, "auth_http: no path in \"%s\"", d.arguments[1]) end
    return "http://unix:" .. path .. ":" .. (uri ~= "" and uri or "/")
  end
  local place, uri = text:match "^([^/]+)(.*)$"
  if not place then fail(d, "auth_http: no host in \"%s\"", d.arguments[1]) end
  return "http://" .. place .. (uri ~= "" and uri or "/")
end

row("auth_http", 1, 1, { check = auth_url, apply = function(x, d)
  x.auth:set("url", auth_url(d), x:origin(d))
  x:differs(d, "an answer that is not 2xx, or has no Auth-Status, lets nobody in; its host is "
    .. "looked up each time")
end })

row("auth_http_timeout", 1, 1, { check = seconds, apply = function(x, d)
  duration(x, x.auth, "timeout", d, 0.05, 600)
  duration(x, x.listener:open "limits", "hook_timeout", d, 0.05, 600)
  x:differs(d, "one time for question and answer; WAIT and what is asked again are within it")
end })

local SECRET = { "key", "secret", "token", "pass", "auth" }

local function sounds_secret(name)
  for _, sign in ipairs(SECRET) do
    if name:lower():find(sign, 1, true) then return true end
  end
  return false
end

row("auth_http_header", 2, 2, { many = true, check = word, apply = function(x, list)
  local pairs_of = {}
  for _, d in ipairs(list) do
    local name, value = d.arguments[1], d.arguments[2]
    local text = x.literal(value)
    if sounds_secret(name) then
      text = ("c.secret.file \"%s\""):format(x:secret(d, name:lower():gsub("[^%w-]", "_"), value))
    end
    table.insert(pairs_of, "{ " .. x.literal(name) .. ", " .. text .. " }")
    x:kept(d, "settings.auth_http.headers")
  end
  x.auth:words("headers", "{ " .. table.concat(pairs_of, ", ") .. " }", x:origin(list[1]))
end })

row("auth_http_pass_client_cert", 1, 1, { check = flag, apply = function(x, d)
  if flag(d) then x.auth:set("pass_client_cert", true, x:origin(d)) end
  x:kept(d, "settings.auth_http.pass_client_cert")
end })

-- --- proxy ---

row("proxy", 1, 1, { check = flag, useless = "nginx reads it and does nothing with it" })

row("proxy_buffer", 1, 1, { check = bytes, apply = function(x, d)
  local size = within(x, d, bytes(d), 1024, 32768, units.size_text)
  x.listener:open("limits"):words("reply_max", units.size_text(size), x:origin(d))
  x:kept(d, "limits.reply_max")
end })

row("proxy_timeout", 1, 1, { check = seconds, apply = function(x, d)
  duration(x, x.listener:open "limits", "idle_timeout", d, 0.1, 2592000)
  x:differs(d, "limits.idle_timeout: bytes of the upstream count too")
end })

row("proxy_pass_error_message", 1, 1, { check = flag, apply = function(x, d)
  if flag(d) then x.listener:set("pass_error_message", true, x:origin(d)) end
  x:kept(d, "pass_error_message")
end })

row("proxy_protocol", 1, 1, { check = one_of("on", "off", "v2"), apply = function(x, d)
  if d.arguments[1] ~= "off" then
    x.listener:set("upstream_proxy_protocol", d.arguments[1] == "on" and "v1" or "v2",
      x:origin(d))
  end
  x:kept(d, "upstream_proxy_protocol")
end })

row("proxy_smtp_auth", 1, 1, { check = flag, only = "smtp", apply = function(x, d)
  if flag(d) then
    x.auth:set("smtp_login", true, x:origin(d))
    x:differs(d, "what the upstream offers is used, PLAIN if it does")
  else
    x:kept(d, "settings.auth_http.smtp_login")
  end
end })

row("xclient", 1, 1, { check = flag, only = "smtp", apply = function(x, d)
  x.listener:set("forward", flag(d) and "always" or "off", x:origin(d))
  x:kept(d, "forward")
end })

row("set_real_ip_from", 1, 1, { many = true, check = word, apply = function(x, list)
  local networks = {}
  for _, d in ipairs(list) do
    local text = d.arguments[1]
    if text == "unix:" or text:match "^[%x.:]*[.:][%x.:]*/?%d*$" then
      table.insert(networks, text)
    else
      local found = files.addresses(text)
      if #found == 0 then fail(d, "set_real_ip_from: host not found: \"%s\"", text) end
      for _, address in ipairs(found) do
        table.insert(networks, (address:gsub("[%[%]]", "")))
      end
      x:differs(d, "the addresses that the name has now")
    end
    x:kept(d, x.takes_proxy_header and "proxy_protocol.from"
      or "without a \"listen\" with proxy_protocol it does nothing")
  end
  if x.takes_proxy_header then
    x.listener:open("proxy_protocol"):set("from", networks, x:origin(list[1]))
  end
end })

-- --- imap, pop3, smtp ---

local MECHANISMS = { plain = "PLAIN", login = "LOGIN", ["cram-md5"] = "CRAM-MD5", apop = "APOP",
  external = "EXTERNAL" }

local function mechanisms_of(x, d)
  local list, seen = {}, {}
  local function add(name)
    if not seen[name] then table.insert(list, name) end
    seen[name] = true
  end
  for _, argument in ipairs(d.arguments) do
    local name = MECHANISMS[argument:lower()]
    if name == "EXTERNAL" and not x.asks_certificate then
      x:differs(d, "EXTERNAL is left out: it needs ssl_verify_client, nginx believes any name")
    elseif name then
      add(name)
      if name == "PLAIN" and x.protocol == "pop3" then add "LOGIN" end
    end
  end
  return list
end

local function set_mechanisms(x, d)
  x:list_mechanisms(mechanisms_of(x, d), x:origin(d))
  x:kept(d, "mechanisms")
end

row("imap_auth", 1, 10, { only = "imap", check = words_of("plain", "login", "cram-md5", "external"),
  apply = set_mechanisms })

row("pop3_auth", 1, 10, { only = "pop3", check = words_of("plain", "apop", "cram-md5", "external"),
  apply = set_mechanisms })

row("smtp_auth", 1, 10, { only = "smtp",
  check = words_of("plain", "login", "cram-md5", "external", "none"),
  apply = function(x, d)
    for _, argument in ipairs(d.arguments) do
      if argument:lower() == "none" then x.listener:set("auth", "none", x:origin(d)) end
    end
    set_mechanisms(x, d)
  end })

local function capabilities(x, d)
  x.listener:set("capabilities", d.arguments, x:origin(d))
  x:kept(d, "capabilities")
end

for _, protocol in ipairs { "imap", "pop3", "smtp" } do
  row(protocol .. "_capabilities", 1, 200, { only = protocol, check = word, apply = capabilities })
end

local function client_buffer(x, d)
  local limits = x.listener:open "limits"
  local size = within(x, d, bytes(d), 512, 32768, units.size_text)
  limits:words("command_max", units.size_text(size), x:origin(d))
  if x.protocol == "imap" then
    limits:words("literal_max", units.size_text(math.min(size, 16384)), x:origin(d))
    if size > 16384 then x:differs(d, "literals of at most 16k") end
  end
  x:differs(d, "limits.command_max is of one command, nginx's of all that was sent at once")
end

row("imap_client_buffer", 1, 1, { only = "imap", check = bytes, apply = client_buffer })
row("smtp_client_buffer", 1, 1, { only = "smtp", check = bytes, apply = client_buffer })

row("smtp_greeting_delay", 1, 1, { only = "smtp", check = seconds, apply = function(x, d)
  duration(x, x.listener, "greeting_delay", d, 0, 60)
  x:kept(d, "greeting_delay")
end })

-- --- ssl: all into the key `tls`, where there is TLS ---

local function tls_row(name, least, most, fields)
  local apply = fields.apply
  fields.apply = function(x, given)
    if x.tls then
      apply(x, given)
      return
    end
    for _, d in ipairs(fields.many and given or { given }) do
      x:kept(d, "without \"listen ... ssl\" or starttls it does nothing")
    end
  end
  row(name, least, most, fields)
end

row("ssl", 1, 1, { check = flag, apply = function(x, d) x:kept(d, "tls.mode") end })

row("starttls", 1, 1, { check = one_of("on", "off", "only"), apply = function(x, d)
  x:kept(d, x.implicit and "an ssl listener has no STARTTLS" or "tls.mode")
end })

local function paths(key)
  return function(x, list)
    local found = {}
    for i, d in ipairs(list) do
      found[i] = x:conf_path(word(d))
      x:kept(d, "tls." .. key)
    end
    x.tls:set(key, found, x:origin(list[1]))
  end
end

tls_row("ssl_certificate", 1, 1, { many = true, check = word, apply = paths "certificate" })
tls_row("ssl_certificate_key", 1, 1, { many = true, check = word, apply = paths "key" })
tls_row("ssl_session_ticket_key", 1, 1, { many = true, check = word, apply = paths "ticket_keys" })

tls_row("ssl_password_file", 1, 1, { check = word, apply = function(x, d)
  local path = x:conf_path(word(d))
  local text, message = files.read(path, 65536)
  if not text then fail(d, "ssl_password_file: %s", message) end
  local secrets, lines = {}, {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line ~= "" then table.insert(lines, line) end
  end
  for i, line in ipairs(lines) do
    local name = #lines == 1 and i == 1 and path or x:secret(d, "passphrase", line)
    table.insert(secrets, ("c.secret.file \"%s\""):format(name))
  end
  x.tls:words("passphrases", "{ " .. table.concat(secrets, ", ") .. " }", x:origin(d))
  x:kept(d, "tls.passphrases")
end })

local VERSIONS = { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" }
local NUMBERS = { TLSv1 = "1.0", ["TLSv1.1"] = "1.1", ["TLSv1.2"] = "1.2", ["TLSv1.3"] = "1.3" }

tls_row("ssl_protocols", 1, 10, {
  check = words_of("sslv2", "sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"),
  apply = function(x, d)
    local has, first, last = {}, nil, nil
    for _, argument in ipairs(d.arguments) do
      has[argument:upper():gsub("V", "v")] = true
      if argument:upper():match "^SSL" then
        x:differs(d, argument .. " is never spoken")
      end
    end
    for _, version in ipairs(VERSIONS) do
      if has[version] then first, last = first or version, version end
    end
    if not first then fail(d, "ssl_protocols: OpenSSL speaks none of these") end
    x.tls:set("min_version", NUMBERS[first], x:origin(d))
    x.tls:set("max_version", NUMBERS[last], x:origin(d))
    local inside = false
    for _, version in ipairs(VERSIONS) do
      inside = inside or version == first
      if inside and not has[version] then x:command("Protocol -" .. version, d) end
      if version == last then break end
    end
    x:kept(d, "tls.min_version, tls.max_version")
  end })

local function tls_text(key)
  return function(x, d)
    x.tls:set(key, word(d), x:origin(d))
    x:kept(d, "tls." .. key)
  end
end

local function tls_file(key)
  return function(x, d)
    x.tls:set(key, x:conf_path(word(d)), x:origin(d))
    x:kept(d, "tls." .. key)
  end
end

local function tls_flag(key)
  return function(x, d)
    x.tls:set(key, flag(d), x:origin(d))
    x:kept(d, "tls." .. key)
  end
end

tls_row("ssl_ciphers", 1, 1, { check = word, apply = tls_text "ciphers" })
tls_row("ssl_prefer_server_ciphers", 1, 1, { check = flag,
  apply = tls_flag "prefer_server_ciphers" })
tls_row("ssl_dhparam", 1, 1, { check = word, apply = tls_file "dhparam" })
tls_row("ssl_ecdh_curve", 1, 1, { check = word, apply = function(x, d)
  if word(d) == "auto" then
    x:kept(d, "OpenSSL chooses")
  else
    tls_text "curves"(x, d)
  end
end })

tls_row("ssl_session_cache", 1, 2, {
  check = function(d)
    for _, argument in ipairs(d.arguments) do
      local known = argument == "off" or argument == "none" or argument:match "^builtin:?%d*$"
      local name, size = argument:match "^shared:([^:]+):(%w+)$"
      if not known and not (name and units.bytes(size)) then
        fail(d, "ssl_session_cache: invalid \"%s\"", argument)
      end
    end
  end,
  apply = function(x, d)
    local first = d.arguments[1]
    if first == "off" or first == "none" then
      x:kept(d, "tls.session_cache is false")
      return
    end
    x.tls:set("session_cache", true, x:origin(d))
    x:differs(d, "tls.session_cache: one cache for all listeners and workers, of a size of its own")
  end })

tls_row("ssl_session_tickets", 1, 1, { check = flag, apply = tls_flag "tickets" })
tls_row("ssl_session_timeout", 1, 1, { check = seconds, apply = function(x, d)
  duration(x, x.tls, "session_timeout", d, 1, 86400)
  x:kept(d, "tls.session_timeout")
end })

tls_row("ssl_verify_client", 1, 1, { check = one_of("off", "on", "optional", "optional_no_ca"),
  apply = function(x, d)
    local value = word(d) == "on" and "required" or word(d)
    x.tls:set("client_certificate", value, x:origin(d))
    x:kept(d, "tls.client_certificate")
  end })
tls_row("ssl_verify_depth", 1, 1, { check = number, apply = function(x, d)
  x.tls:set("verify_depth", within(x, d, number(d), 1, 100, tostring), x:origin(d))
  x:kept(d, "tls.verify_depth")
end })
tls_row("ssl_client_certificate", 1, 1, { check = word, apply = tls_file "ca" })
tls_row("ssl_trusted_certificate", 1, 1, { check = word, apply = tls_file "trusted_ca" })
tls_row("ssl_crl", 1, 1, { check = word, apply = tls_file "crl" })

tls_row("ssl_conf_command", 2, 2, { many = true, check = word, apply = function(x, list)
  for _, d in ipairs(list) do
    x:command(d.arguments[1] .. " " .. d.arguments[2], d)
    x:kept(d, "tls.commands")
  end
end })

row("ssl_certificate_compression", 1, 1, { check = flag, useless = "OpenSSL 3.0 has none" })

return rows
