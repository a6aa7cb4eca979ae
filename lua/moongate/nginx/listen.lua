--- nginx's `listen`: addresses and what goes with them.
local files = require "moongate.nginx.files"
local reader = require "moongate.nginx.reader"
local units = require "moongate.nginx.units"

local PORTS = { [143] = "imap", [993] = "imap", [110] = "pop3", [995] = "pop3", [25] = "smtp",
  [465] = "smtp", [587] = "smtp" }
local RANGE_MAX = 4096

local listen = {}

local function port_number(text, directive)
  local port = tonumber(text)
  if not port or port < 1 or port > 65535 then
    reader.fail(directive, "listen: invalid port in \"%s\"", directive.arguments[1])
  end
  return port
end

local function ports_of(text, directive)
  local first, last = text:match "^(%d+)%-(%d+)$"
  first = port_number(first or text:match "^%d+$", directive)
  last = last and port_number(last, directive) or first
  if last < first or last - first >= RANGE_MAX then
    reader.fail(directive, "listen: invalid range of ports in \"%s\"", directive.arguments[1])
  end
  return first, last
end

local function hosts_of(host, directive)
  if host == "" or host == "*" then return { "0.0.0.0" } end
  if host:match "^%[.*%]$" or host:match "^%d+%.%d+%.%d+%.%d+$" then return { host } end
  local hosts = files.addresses(host)
  if #hosts == 0 then reader.fail(directive, "listen: host not found: \"%s\"", host) end
  return hosts
end

--- Host and ports of "addr:port", "[addr]:port", "port".
local function split(text, directive)
  local host, ports = text:match "^(%[[%x:.]*%]):([%d-]+)$"
  if not host then host, ports = text:match "^([^:]*):([%d-]+)$" end
  if not host then host, ports = "", text:match "^[%d-]+$" end
  if not ports then
    reader.fail(directive, "listen: no port in \"%s\"", directive.arguments[1])
  end
  return host, ports
end

--- The addresses as Moongate writes them, and the protocol that the port is registered for.
local function addresses_of(directive)
  local text = directive.arguments[1]
  if text:match "^unix:" then
    if not text:match "^unix:/" then
      reader.fail(directive, "listen: the path of a unix socket begins with \"/\"")
    end
    return { text }
  end
  local host, ports = split(text, directive)
  local first, last = ports_of(ports, directive)
  local list, seen = {}, {}
  for _, each in ipairs(hosts_of(host, directive)) do
    for port = first, last do
      local address = ("%s:%d"):format(each, port)
      if not seen[address] then table.insert(list, address) end
      seen[address] = true
    end
  end
  return list, PORTS[first], host ~= "" and host:find "%a" and not host:find "%["
end

local PARAMETERS = {}

local function count(name, least)
  return function(made, value, directive)
    local number = units.number(value or "")
    if not number or number < least then
      reader.fail(directive, "listen: invalid %s \"%s\"", name, value or "")
    end
    made.socket[name] = number
  end
end

local function size(name)
  return function(made, value, directive)
    made.socket[name] = units.bytes(value or "")
      or reader.fail(directive, "listen: invalid size \"%s\"", value or "")
  end
end

function PARAMETERS.ssl(made) made.tls = true end
function PARAMETERS.proxy_protocol(made) made.proxy_protocol = true end
function PARAMETERS.bind() end
function PARAMETERS.multipath(made) made.multipath = true end
PARAMETERS.backlog = count("backlog", 1)
PARAMETERS.rcvbuf = size "receive_buffer"
PARAMETERS.sndbuf = size "send_buffer"

function PARAMETERS.ipv6only(made, value, directive)
  local flag = units.flag(value or "")
  if flag == nil then reader.fail(directive, "listen: invalid ipv6only \"%s\"", value or "") end
  if not flag then made.socket.ipv6_only = false end
end

--- [idle]:[interval]:[count]
function PARAMETERS.so_keepalive(made, value, directive)
  local flag = units.flag(value or "")
  if flag ~= nil then
    made.socket.keepalive = flag
    return
  end
  local idle, interval, probes = (value or ""):match "^(%w*):(%w*):(%d*)$"
  if not idle or value == "::" then
    reader.fail(directive, "listen: invalid so_keepalive \"%s\"", value or "")
  end
  made.socket.keepalive = true
  for key, text in pairs { keepalive_idle = idle, keepalive_interval = interval } do
    if text ~= "" then
      made.socket[key] = units.seconds(text)
        or reader.fail(directive, "listen: invalid so_keepalive \"%s\"", value)
    end
  end
  if probes ~= "" then made.socket.keepalive_count = tonumber(probes) end
end

listen.PARAMETERS = PARAMETERS

--- What one `listen` says: { directive, addresses, protocol, tls, proxy_protocol, socket = {} }.
function listen.read(directive)
  if #directive.arguments == 0 then reader.fail(directive, "\"listen\" needs an address") end
  local made = { directive = directive, socket = { keepalive = false } }
  made.addresses, made.protocol, made.by_name = addresses_of(directive)
  for i = 2, #directive.arguments do
    local word = directive.arguments[i]
    local name, value = word:match "^([%w_]+)=(.*)$"
    local take = PARAMETERS[name or word]
    if not take then reader.fail(directive, "listen: the invalid \"%s\" parameter", word) end
    take(made, value, directive)
  end
  return made
end

local SOCKET_KEYS = { "backlog", "ipv6_only", "keepalive", "keepalive_idle", "keepalive_interval",
  "keepalive_count", "receive_buffer", "send_buffer" }
listen.SOCKET_KEYS = SOCKET_KEYS

--- Whether two of them may be one listener.
function listen.sign(made)
  local words = { tostring(made.tls), tostring(made.proxy_protocol) }
  for _, key in ipairs(SOCKET_KEYS) do table.insert(words, tostring(made.socket[key])) end
  return table.concat(words, " ")
end

return listen
