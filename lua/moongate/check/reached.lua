--- Tries the servers that a configuration names, as sessions would: `moongate check --connect`.
local host = require "moongate.check.host"

local PORTS = {
  off = { imap = 143, pop3 = 110, smtp = 25 },
  implicit = { imap = 993, pop3 = 995, smtp = 465 },
}
PORTS.starttls = PORTS.off

local VERSIONS = { v1 = 1, v2 = 2 }

local function port_of(name, port, tls, protocol)
  if port ~= 0 or name:sub(1, 5) == "unix:" then return port end
  return PORTS[tls][protocol]
end

--- The members of a pool, as its settings have them spoken to.
local function members(name, pool, protocol)
  local servers = {}
  for i, member in ipairs(pool.members) do
    local host_name, port = host.parse_target(member.address)
    servers[i] = { what = ("pool \"%s\": \"%s\"%s"):format(name, member.address,
        protocol and " (" .. protocol .. ")" or ""), host = host_name,
      port = port_of(host_name, port, pool.tls, protocol), protocol = protocol, tls = pool.tls,
      profile = pool.profile, server_name = pool.server_name, unverified = not pool.verify,
      pins = pool.pin, proxy_protocol = VERSIONS[pool.proxy_protocol] or 0,
      path = member.path, line = member.line }
  end
  return servers
end

--- One server to try, for an upstream of a listener.
local function upstream(text, listener, place)
  local name, port = host.parse_target(text)
  return { what = ("upstream \"%s\" (%s)"):format(text, listener.protocol), host = name,
    port = port_of(name, port, listener.upstream_tls, listener.protocol),
    protocol = listener.protocol, tls = listener.upstream_tls, profile = "",
    proxy_protocol = VERSIONS[place.proxy] or 0, path = place.path, line = place.line }
end

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

--- What listeners and the settings of their policies name.
local function upstreams(listing)
  local servers, used = {}, {}
  local function add(text, listener, place)
    local name = text:match "^pool:([%a_].*)$"
    if not name then
      table.insert(servers, upstream(text, listener, place))
      return
    end
    used[name] = true
    for _, server in ipairs(members(name, listing.pools[name], listener.protocol)) do
      table.insert(servers, server)
    end
  end
  for _, listener in ipairs(listing.listeners) do
    if listener.upstream then
      add(listener.upstream, listener, { path = listener.upstream_path,
        line = listener.upstream_line, proxy = listener.upstream_proxy_protocol })
    end
    for _, target in ipairs(listing.targets) do
      if has(listener.policy, target.settings) then add(target.text, listener, target) end
    end
  end
  return servers, used
end

--- The protocol that a pool which only decisions name is for: that of all listeners, or what the
-- members' port is registered for; nil if neither tells.
local function protocol_for(listing, pool)
  local protocol, same = nil, true
  for _, listener in ipairs(listing.listeners) do
    same = same and (not protocol or protocol == listener.protocol)
    protocol = listener.protocol
  end
  if same then return protocol end
  local _, port = host.parse_target(pool.members[1].address)
  for _, ports in pairs(PORTS) do
    for name, number in pairs(ports) do
      if number == port then return name end
    end
  end
end

--- Members of pools that only decisions name.
local function others(listing, used)
  local servers = {}
  for name, pool in pairs(listing.pools) do
    local protocol = protocol_for(listing, pool)
    for _, server in ipairs(used[name] and {} or members(name, pool, protocol)) do
      -- Without a port or the first words of a protocol there is nothing to try.
      if server.port and (protocol or server.tls ~= "starttls") then
        table.insert(servers, server)
      end
    end
  end
  table.sort(servers, function(a, b) return a.what < b.what end)
  return servers
end

--- An auth server, or one of Redis.
local function named_by_url(found, server)
  local url, message = host.parse_url(server.url)
  if not url then
    found:add { path = server.path, line = server.line, level = "warning", code = "url",
      message = message }
    return nil
  end
  return { what = url.what, host = url.host, port = url.port,
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
  local servers, used = upstreams(listing)
  for _, server in ipairs(others(listing, used)) do table.insert(servers, server) end
  for _, server in ipairs(listing.servers) do
    table.insert(servers, named_by_url(found, server)) -- nothing for what is no URL
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
