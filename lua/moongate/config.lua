--- The constructors of moongate.lua, and their checker.
--
--     local c = require "moongate.config"
--     return c.gateway {
--       c.listen "imap" { address = "[::]:143", policy = "auth_http" },
--     }
local core = require "moongate.core"
local overlay = require "moongate.overlay"
local schema = require "moongate.schema"
local sections = require "api.config"

local config = { secret = {} }

local blocks = setmetatable({}, { __mode = "k" }) -- block -> what it is
local errors = {} -- found while the file ran

local function block(kind, name, path, line, options)
  if type(options) ~= "table" then
    error(("%s:%d: %s: a table expected"):format(path, line, kind), 0)
  end
  local made = {}
  blocks[made] = { kind = kind, name = name, path = path, line = line, options = options }
  return made
end

--- The whole configuration; its unnamed members are `listen` blocks.
function config.gateway(options)
  -- `return c.gateway { ... }` is a tail call: its line is found later.
  return block("gateway", nil, "moongate.lua", 1, options)
end

--- One listener: `c.listen "name" { ... }`.
function config.listen(name)
  local path, line = core.caller(2)
  if type(name) ~= "string" or not name:match "^[%w_][%w_-]*$" then
    error(("%s:%d: listen: a name of letters, digits, _ and - expected"):format(path, line), 0)
  end
  return function(options) return block("listen", name, path, line, options) end
end

local function add_error(path, line, message)
  path, line = path or "moongate.lua", line or 1 -- a tail call has no place
  errors[#errors + 1] = { path = path, line = line,
    text = ("%s:%d: %s"):format(path, line, message) }
end

--- A mistake in what is laid over another table.
local function add_overlay_error(path, line, keys, message)
  add_error(path, line, (#keys > 0 and schema.path_text(keys) .. ": " or "") .. message)
end

--- `over` laid over `base`: maps merge, all else replaces; see conf/README.md.
function config.merge(base, over)
  local path, line = core.caller(2)
  if type(base) ~= "table" or type(over) ~= "table" then
    add_error(path, line, "merge: two tables expected")
    return {}
  end
  return overlay.merge(base, over,
    overlay.layer(path or "moongate.lua", line or 1, "merge", add_overlay_error), {})
end

--- In what is laid over another table: a value for a key that is not there.
config.new = overlay.new

local function secret_source(name, read, expected)
  return function(value)
    local path, line = core.caller(2)
    if type(value) ~= expected then
      add_error(path, line, ("secret.%s: a %s expected"):format(name, expected))
      return core.secret ""
    end
    local fine, secret, message = pcall(read, value)
    if fine and secret then return secret end
    if not fine then message = secret end
    add_error(path, line, message:find("secret.", 1, true) == 1 and message
      or ("secret.%s: %s"):format(name, message))
    return core.secret ""
  end
end

--- For specs: the same gateway, whose listeners ask other policies.
function config.with_policies(gateway, names)
  for _, made in ipairs((blocks[gateway] or { options = {} }).options) do
    if blocks[made] then blocks[made].options.policy = names end
  end
  return gateway
end

--- The first line of a file, as a Secret.
config.secret.file = secret_source("file", core.secret_file, "string")

--- The first line of an environment variable, as a Secret.
config.secret.env = secret_source("env", core.secret_env, "string")

--- The first line that a program writes, as a Secret: `{ "pass", "show", "x" }`.
config.secret.command = secret_source("command", core.secret_command, "table")

local PORTS = { ["143"] = "imap", ["993"] = "imap", ["110"] = "pop3", ["995"] = "pop3",
  ["25"] = "smtp", ["465"] = "smtp", ["587"] = "smtp" }

local function protocol_of(addresses)
  local protocol
  for _, address in ipairs(addresses) do
    local found = PORTS[address:match ":(%d+)$" or ""]
    if not found or protocol and found ~= protocol then return nil end
    protocol = found
  end
  return protocol
end

local TLS_PORTS = { ["993"] = true, ["995"] = true, ["465"] = true }

--- What a `tls` section needs; its mode, if the port tells it.
local function check_tls(listener, report)
  local tls = listener.tls
  if not tls.mode then
    tls.mode = "implicit"
    for _, address in ipairs(listener.address) do
      if not TLS_PORTS[address:match ":(%d+)$" or ""] then tls.mode = "starttls" end
    end
  end
  if #tls.certificate == 0 and not next(tls.names) then
    report:add({ "tls" }, "\"certificate\" is missing")
  end
  if (tls.client_certificate == "required" or tls.client_certificate == "optional")
    and not tls.ca and not tls.trusted_ca then
    report:add({ "tls", "client_certificate" }, "\"ca\" or \"trusted_ca\" is needed with it")
  end
end

--- What depends on more than one key.
local function check_listener(listener, report)
  listener.protocol = listener.protocol or protocol_of(listener.address)
  if not listener.protocol then
    report:add({}, "\"protocol\" is missing: the port does not tell it")
    return
  end
  if listener.auth == "none" and listener.protocol ~= "smtp" then
    report:add({ "auth" }, "\"none\" is for SMTP only")
  end
  for _, mechanism in ipairs(listener.mechanisms) do
    if mechanism == "APOP" and listener.protocol ~= "pop3" then
      report:add({ "mechanisms" }, "APOP is for POP3 only")
    end
    local asked = listener.tls and listener.tls.client_certificate ~= "off"
    if mechanism == "EXTERNAL" and not asked then
      report:add({ "mechanisms" }, "EXTERNAL needs tls.client_certificate")
    end
    if mechanism:find "%-PLUS$" and not listener.tls then
      report:add({ "mechanisms" }, mechanism .. " needs tls")
    end
  end
  if listener.tls then check_tls(listener, report) end
  local proxy = listener.proxy_protocol
  if proxy and #proxy.from == 0 and not proxy.lenient then
    report:add({ "proxy_protocol" }, "\"from\" is missing")
  end
  if listener.probe > 0 and not listener.upstream then
    report:add({ "probe" }, "there is no \"upstream\" to look at")
  end
end

local function read_listener(made, names)
  local from = blocks[made]
  local report = schema.report({ path = from.path, line = from.line, name = from.name,
    title = ("listen \"%s\""):format(from.name), options = from.options }, errors)
  if names[from.name] then
    report:add({}, ("the name is used twice (line %d)"):format(names[from.name]))
  end
  names[from.name] = from.line
  local before = #errors
  local listener = schema.check(from.options, sections.listen, report, sections)
  listener.name = from.name
  listener.policy_place = ("%s:%d"):format(report:place { "policy" })
  if not listener.server_name then listener.server_name = core.hostname() end
  if #errors == before then check_listener(listener, report) end
  core.listener_reports[from.name] = report
  return listener
end

--- The listeners among the unnamed members, and all that has a name.
local function split(from, report)
  local listeners, named, names = {}, {}, {}
  for key, value in pairs(from.options) do
    if type(key) ~= "number" then named[key] = value end
  end
  for i = 1, #from.options do
    local made = from.options[i]
    if blocks[made] and blocks[made].kind == "listen" then
      listeners[#listeners + 1] = read_listener(made, names)
    else
      report:add({}, ("member %d is not a c.listen block"):format(i))
    end
  end
  if #listeners == 0 and #errors == 0 then report:add({}, "there is no listener") end
  return listeners, named
end

--- The names of the pools, as a list and as keys: upstreams are checked against them.
local function pool_names(pools)
  local names = {}
  for name in pairs(type(pools) == "table" and pools or {}) do
    if type(name) == "string" then
      names[#names + 1] = name
      names[name] = true
    end
  end
  return names
end

--- What depends on more than one key of a pool.
local function check_pool(name, pool, profiles, report)
  local seen, names = {}, {}
  for i, member in ipairs(pool.members) do
    local address = member.address or i
    if seen[address] then
      report:add({ "pools", name }, ("%s is a member twice"):format(address))
    end
    seen[address] = true
  end
  for profile in pairs(profiles) do names[#names + 1] = profile end
  if pool.tls and pool.tls ~= "off" and pool.profile and not profiles[pool.profile] then
    local near = core.nearest(pool.profile, names)
    report:add({ "pools", name, "profile" }, ("`tls_profiles` has no \"%s\"%s"):format(pool.profile,
      near and (" (did you mean \"%s\"?)"):format(near) or ""))
  end
end

--- The line on which `gateway` is called.
local function gateway_line(path)
  local line = 0
  for text in (core.text(path) .. "\n"):gmatch "([^\n]*)\n" do
    line = line + 1
    local code = text:match "^(.-)%-%-" or text
    if code:find("gateway", 1, true) and not code:find("require", 1, true) then return line end
  end
  return 1
end

--- The last line that begins with `return`.
local function return_line(path)
  local found, line = 1, 0
  for text in (core.text(path) .. "\n"):gmatch "([^\n]*)\n" do
    line = line + 1
    if text:match "^%s?%s?return" then found = line end
  end
  return found
end

--- The keys of the listener called `name` are laid over its block.
local function lay_over_listener(from, name, over, layer)
  local found, names = nil, {}
  for _, made in ipairs(from.options) do
    local block_of = blocks[made]
    if block_of and block_of.kind == "listen" then
      names[#names + 1] = block_of.name
      if block_of.name == name then found = block_of end
    end
  end
  local keys = { "listen", name }
  if overlay.is_new(over) then
    local options = overlay.bare(over)
    local made = block("listen", name, layer.path, layer:line_of(keys), options)
    blocks[made].options = overlay.own(options, layer, keys)
    table.insert(from.options, made)
  elseif not found then
    layer:absent(keys, names)
  elseif type(over) ~= "table" then
    layer:complain(keys, "a table expected")
  else
    found.options = overlay.merge(found.options, over, layer, keys)
  end
end

--- The file of an environment, { path =, value = } or { message = }, is laid over the gateway.
local function lay_over(from, over)
  if over.message then
    errors[#errors + 1] = { path = over.path or "", line = 0, text = over.message }
    return
  end
  local layer = overlay.layer(over.path, return_line(over.path), "return", add_overlay_error)
  if type(over.value) ~= "table" or blocks[over.value] then
    layer:complain({}, "the file must return a plain table")
    return
  end
  local named = {}
  for key, value in pairs(over.value) do named[key] = value end
  local listen = named.listen
  named.listen = nil
  from.options = overlay.merge(from.options, named, layer, {})
  if listen ~= nil and type(listen) ~= "table" then
    layer:complain({ "listen" }, "a table expected, of listeners by their names")
    return
  end
  for _, name in ipairs(overlay.names_of(listen or {})) do
    lay_over_listener(from, name, listen[name], layer)
  end
end

local DICTS_MAX = 32
local REDIS_ONLY = { "user", "password", "database", "profile", "server_name", "sentinel" }

--- One table that workers share; what its keys need of each other.
local function check_table(name, entry, profiles, report)
  if #name > 63 then report:add({ "shared", name }, "the name is longer than 63 bytes") end
  if type(entry.store) == "number" then
    for _, key in ipairs(REDIS_ONLY) do
      if entry[key] ~= nil then
        report:add({ "shared", name, key }, "only for a table in Redis")
      end
    end
    return
  end
  local message = entry.store and core.redis_error(entry.store, entry.sentinel ~= nil)
  if message then report:add({ "shared", name, "store" }, message) end
  if entry.user and not entry.password then
    report:add({ "shared", name, "user" }, "it needs a `password`")
  end
  local secure = type(entry.store) == "string" and entry.store:find "^rediss:"
  if (secure or entry.profile) and not profiles[entry.profile or "default"] then
    report:add({ "shared", name, "profile" },
      ("`tls_profiles` has no \"%s\""):format(entry.profile or "default"))
  end
end

--- Tables that workers share.
local function check_shared(shared, profiles, report)
  local count = 0
  for name, entry in pairs(shared) do
    count = count + 1
    check_table(name, entry, profiles, report)
  end
  if count > DICTS_MAX then report:add({ "shared" }, ("at most %d tables"):format(DICTS_MAX)) end
end

--- For the host: the checked configuration, and all its errors as one text. With errors it is
--- what remains of it, for the policies to be looked at all the same; or nil if that is too little.
function core.finish_config(made, path, over)
  local from = blocks[made]
  if not from or from.kind ~= "gateway" then
    error(path .. ":1: the file must return c.gateway { ... }", 0)
  end
  from.path, from.line = path, gateway_line(path)
  if over then lay_over(from, over) end
  local report = schema.report({ path = from.path, line = from.line, name = "gateway", title = "",
    options = from.options }, errors)
  core.gateway_report, core.listener_reports, core.settings_read = report, {}, {}
  core.pools = pool_names(from.options.pools)
  local listeners, named = split(from, report)
  local gateway = schema.check(named, sections.gateway, report, sections)
  for name, pool in pairs(gateway.pools or {}) do
    check_pool(name, pool, gateway.tls_profiles or {}, report)
  end
  for _, listener in ipairs(listeners) do
    if listener.upstream_tls ~= "off" and not (gateway.tls_profiles or {}).default then
      report:add({ "tls_profiles" }, ("\"default\" is missing: listen \"%s\" has upstream_tls")
        :format(listener.name))
    end
  end
  check_shared(gateway.shared or {}, gateway.tls_profiles or {}, report)
  for _, listener in ipairs(listeners) do listener.policy = listener.policy or {} end
  gateway.listen = listeners
  core.config = core.freeze(gateway)
  if #errors == 0 then return gateway end
  return gateway.settings and gateway, schema.text(errors)
end

return config
