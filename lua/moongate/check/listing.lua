--- What a configuration comes to, value by value, and where each was written: for `moongate check`.
local core = require "moongate.core"
local overlay = require "moongate.overlay"
local quoted = require "moongate.quoted"
local sections = require "api.config"

local REDACTED = "secret(redacted)"

local function is_list(value) return value[1] ~= nil or next(value) == nil end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function key_text(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then return key end
  return "[" .. (type(key) == "string" and ("%q"):format(key) or tostring(key)) .. "]"
end

--- What nobody has declared to be a secret may be one all the same.
local function sounds_secret(name)
  if type(name) ~= "string" then return false end
  name = name:lower()
  for _, word in ipairs { "key$", "pass", "secret", "token", "authorization", "credential" } do
    if name:find(word) then return true end
  end
  return false
end

--- As Lua would write it; `hidden` has secrets where `value` has the texts that became them.
local function literal(value, hidden)
  if core.is_secret(value) or core.is_secret(hidden) then return REDACTED end
  if type(value) == "string" then return (quoted(value):gsub("\n", "n")) end
  if type(value) ~= "table" then return tostring(value) end
  local words = {}
  for _, key in ipairs(sorted_keys(value)) do
    local text = literal(value[key], type(hidden) == "table" and hidden[key] or nil)
    if sounds_secret(key) or key == 2 and sounds_secret(value[1]) then text = REDACTED end
    words[#words + 1] = is_list(value) and text or key_text(key) .. " = " .. text
  end
  return #words == 0 and "{}" or "{ " .. table.concat(words, ", ") .. " }"
end

local Listing = {}
Listing.__index = Listing

--- Whether somebody wrote the value at `keys`, below the options of a block.
local function is_written(options, keys)
  local node = options
  for _, key in ipairs(keys) do
    if type(node) ~= "table" then return false end
    node = node[key]
  end
  return node ~= nil
end

--- `place` leads to what is written, where that is not `keys`.
function Listing:add(keys, value, hidden, place)
  place = place or keys
  local entry = { key = self.prefix, text = literal(value, hidden) }
  for _, key in ipairs(keys) do
    local text = key_text(key)
    entry.key = entry.key .. (text:sub(1, 1) == "[" and "" or entry.key ~= "" and "." or "") .. text
  end
  if is_written(self.report.options, place) then
    entry.path, entry.line = self.report:place(place)
  end
  self.values[#self.values + 1] = entry
end

--- Data of any shape: its maps are walked, the rest is told as it is.
function Listing:data(keys, value, hidden)
  local named_by_policy = #keys == 2 -- "passwd_file" is none
  if not named_by_policy and sounds_secret(keys[#keys]) then hidden = core.secret "" end
  if type(value) ~= "table" or is_list(value) then return self:add(keys, value, hidden) end
  for _, key in ipairs(sorted_keys(value)) do
    self:data(overlay.longer(keys, key), value[key],
      type(hidden) == "table" and hidden[key] or core.is_secret(hidden) and hidden or nil)
  end
end

function Listing:field(keys, value, field)
  local kind = field.type or field[2]
  if value == nil then return end
  if kind == "section" then return self:section(keys, value, sections[field.section]) end
  if kind ~= "map" or not next(value) then return self:add(keys, value) end
  for _, name in ipairs(sorted_keys(value)) do
    local of = type(field.of) == "table" and field.of or { type = field.of }
    if of.type ~= "data" then self:field(overlay.longer(keys, name), value[name], of) end
  end
end

function Listing:section(keys, value, fields)
  for _, field in ipairs(fields) do
    local longer = overlay.longer(keys, field[1])
    if field.unnamed then
      self:add(longer, value[field[1]], nil, overlay.longer(keys, 1))
    else
      self:field(longer, value[field[1]], field)
    end
  end
end

local function new_listing(prefix, report, values)
  return setmetatable({ prefix = prefix, report = report, values = values }, Listing)
end

--- What stands under `settings`; what a policy takes for secret is.
local function add_settings(listing, settings)
  for _, name in ipairs(sorted_keys(settings or {})) do
    local read = core.settings_read[name]
    listing:data({ "settings", name }, settings[name], read and read.result)
  end
end

local function unread_settings(report, settings)
  local unread = {}
  for _, name in ipairs(sorted_keys(settings or {})) do
    if not core.settings_read[name] then
      local path, line = report:place { "settings", name }
      unread[#unread + 1] = { name = name, path = path, line = line }
    end
  end
  return unread
end

--- Upstreams that settings name.
local function targets(report)
  local found = {}
  for _, name in ipairs(sorted_keys(core.settings_read)) do
    for _, target in ipairs(core.settings_read[name].targets) do
      local path, line = report:place(target.keys)
      found[#found + 1] = { text = target.text, settings = name, path = path, line = line }
    end
  end
  return found
end

local function listener_facts(listener)
  local report = core.listener_reports[listener.name]
  local path, line = report:place { "policy" }
  local facts = { name = listener.name, protocol = listener.protocol, auth = listener.auth,
    mechanisms = listener.mechanisms,
    policy = listener.policy, tls = listener.tls and listener.tls.mode, path = path, line = line,
    upstream = listener.upstream, upstream_tls = listener.upstream_tls,
    upstream_proxy_protocol = listener.upstream_proxy_protocol }
  if listener.upstream then
    facts.upstream_path, facts.upstream_line = report:place { "upstream" }
  end
  return facts
end

--- Settings that name a server by a URL, as scripts/auth_http.lua has them.
local function servers(report, settings)
  local found = {}
  for _, name in ipairs(sorted_keys(settings or {})) do
    local own = type(settings[name]) == "table" and settings[name] or {}
    local urls = type(own.urls) == "table" and own.urls or { own.urls }
    if type(own.url) == "string" then urls = { own.url, unpack(urls) } end
    for _, url in ipairs(urls) do
      local path, line = report:place { "settings", name, own.url == url and "url" or "urls" }
      found[#found + 1] = { url = url, path = path, line = line, profile = own.profile,
        server_name = own.server_name, unverified = own.verify == false, settings = name,
        pins = type(own.pin) == "table" and own.pin or { own.pin } }
    end
  end
  return found
end

--- The pools, with the places of their members.
local function pools(report, found)
  for name, pool in pairs(found or {}) do
    for i, member in ipairs(pool.members) do
      member.path, member.line = report:place { "pools", name, i }
    end
  end
  return found
end

return function()
  local gateway = core.thaw(core.config)
  if not gateway then return {} end
  local report, values = core.gateway_report, {}
  local function plain(value)
    value = core.thaw(value)
    if type(value) ~= "table" then return value end
    local copy = {}
    for k, v in pairs(value) do copy[k] = plain(v) end
    return copy
  end
  gateway = plain(gateway)
  local top = new_listing("", report, values)
  top:section({}, gateway, sections.gateway)
  add_settings(top, gateway.settings)
  local facts = {}
  for i, listener in ipairs(gateway.listen) do
    new_listing("listen." .. listener.name, core.listener_reports[listener.name], values)
      :section({}, listener, sections.listen)
    facts[i] = listener_facts(listener)
  end
  return { path = report.path, line = report.line, values = values, listeners = facts,
    unread = unread_settings(report, gateway.settings), pools = pools(report, gateway.pools),
    servers = servers(report, gateway.settings), targets = targets(report) }
end
