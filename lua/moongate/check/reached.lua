--- Tries the servers that a configuration names, as sessions would: `moongate check --connect`.
local host = require "moongate.check.host"

local PORTS = {
  off = { imap = 143, pop3 = 110, smtp = 25 },
  implicit = { imap = 993, pop3 = 995, smtp = 465 },
}
PORTS.starttls = PORTS.off

local VERSIONS = { v1 = 1, v2 = 2 }

--- One server to try, for an upstream of a listener.
local function upstream(text, listener, place)
  local name, port = host.parse_target(text)
  if port == 0 and name:sub(1, 5) ~= "unix:" then
    port = PORTS[listener.upstream_tls][listener.protocol]
  end
  return { what = ("upstream \"%s\" (%s)"):format(text, listener.protocol), host = name,
    port = port, protocol = listener.protocol, tls = listener.upstream_tls, profile = "",
    proxy_protocol = VERSIONS[place.proxy] or 0, path = place.path, line = place.line }
end

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

--- Upstreams of listeners, and those that the settings of their policies name.
local function upstreams(listing)
  local servers = {}
  for _, listener in ipairs(listing.listeners) do
    if listener.upstream then
      table.insert(servers, upstream(listener.upstream, listener,
        { path = listener.upstream_path, line = listener.upstream_line,
          proxy = listener.upstream_proxy_protocol }))
    end
    for _, target in ipairs(listing.targets) do
      if has(listener.policy, target.settings) then
        table.insert(servers, upstream(target.text, listener, target))
      end
    end
  end
  return servers
end

local function auth_server(found, server)
  local url, message = host.parse_url(server.url)
  if not url then
    found:add { path = server.path, line = server.line, level = "warning", code = "url",
      message = message }
    return nil
  end
  return { what = ("auth server \"%s\""):format(server.url), host = url.host, port = url.port,
    tls = url.tls, profile = server.profile, server_name = server.server_name,
    unverified = server.unverified, pins = server.pins, path = server.path, line = server.line }
end

local function proof(server, tls)
  if tls == "" then return "" end
  local believed = server.unverified and not server.pins[1]
  return (believed and ", not verified, by " or ", verified, by ") .. tls
end

local function try(found, result, server, timeout)
  server.timeout = timeout
  local address, tls = result.network:reach(server)
  if not address then
    found:add { path = server.path, line = server.line, level = "error", code = "unreachable",
      message = ("%s: %s"):format(server.what, tls) }
    return
  end
  found:add { path = server.path, line = server.line, level = "note", code = "reached",
    message = ("%s: %s answers%s"):format(server.what, address, proof(server, tls)) }
end

local function servers_of(found, listing)
  local servers = upstreams(listing)
  for _, server in ipairs(listing.servers) do
    table.insert(servers, auth_server(found, server)) -- nothing for what is no URL
  end
  return servers
end

--- Adds a finding for each; one has `timeout` seconds.
local function try_all(found, result, timeout)
  local listing = result.listing
  if result.network_error then
    found:add { path = listing.path, line = listing.line, level = "error", code = "unreachable",
      message = result.network_error }
    return
  end
  local tried = {}
  for _, server in ipairs(servers_of(found, listing)) do
    local name = table.concat({ server.what, server.tls, server.profile or "" }, "\n")
    if not tried[name] then try(found, result, server, timeout) end
    tried[name] = true
  end
end

return { try = try_all }
