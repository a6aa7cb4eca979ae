--- Makes a configuration of what was read of nginx.conf.
local core = require "moongate.core"
local files = require "moongate.nginx.files"
local listen = require "moongate.nginx.listen"
local log = require "moongate.nginx.log"
local main = require "moongate.nginx.main"
local node = require "moongate.nginx.node"
local reader = require "moongate.nginx.reader"
local report = require "moongate.nginx.report"
local rows = require "moongate.nginx.directives"
local units = require "moongate.nginx.units"

local convert = {}

local by_name, names = {}, {}
for _, row in ipairs(rows) do
  by_name[row.name] = row
  table.insert(names, row.name)
end
for _, name in ipairs(rows.others) do table.insert(names, name) end

local DEFAULT_CAPABILITIES = { imap = { "IMAP4", "IMAP4rev1", "UIDPLUS" },
  pop3 = { "TOP", "USER", "UIDL" }, smtp = {} }
local DEFAULT_MECHANISMS = { imap = { "PLAIN" }, pop3 = { "PLAIN", "LOGIN" },
  smtp = { "PLAIN", "LOGIN" } }
local DEFAULT = "nginx's default"

-- --- what rows work with ---

local Work = {}
Work.__index = Work

function Work:kept(d, text) self.report:kept(d, text) end
function Work:differs(d, why) self.report:differs(d, why) end
Work.literal = node.literal

--- "nginx.conf:12"
function Work:origin(d)
  local inside = d.path:sub(1, #self.folder + 1) == self.folder .. "/"
  return ("%s:%d"):format(inside and d.path:sub(#self.folder + 2) or d.path, d.line)
end

--- What nginx takes as relative to the folder of nginx.conf.
function Work:conf_path(path) return files.below(self.folder, path) end

--- A setting of OpenSSL's own for the listener at hand.
function Work:command(text, d)
  table.insert(self.commands, text)
  self.tls:set("commands", self.commands, self:origin(d))
end

--- The mechanisms of the listener at hand.
function Work:list_mechanisms(list, origin)
  self.listed = {}
  for _, name in ipairs(list) do self.listed[name] = true end
  self.listener:set("mechanisms", list, origin)
end

--- The gateway has one list of DNS servers: the first that is named, and others behind it. What
-- they answer is kept as the first has it: for the text `valid`, or nil.
function Work:use_resolver(d, addresses, valid)
  local first = #self.resolver == 0
  local differs = not first
  for _, address in ipairs(addresses) do
    local known = false
    for _, old in ipairs(self.resolver) do known = known or old == address end
    if not known then table.insert(self.resolver, address) end
    differs = differs and not known
  end
  if first then self.resolver_valid, self.resolver_origin = valid, self:origin(d) end
  self:kept(d, valid and "resolver and its valid, resolve_client" or "resolver, resolve_client")
  if valid ~= self.resolver_valid then
    self:differs(d, "answers are kept as those of the first resolver")
  end
  if differs then self:differs(d, "all listeners ask the same servers") end
end

--- The name of a file, beside the configuration, that holds what nobody else may read.
function Work:secret(d, name, text)
  local known = self.secret_names[d.name .. "\0" .. text]
  if known then return known end
  local path, count = "secrets/" .. name, 1
  while self.secrets[path] do
    count = count + 1
    path = ("secrets/%s-%d"):format(name, count)
  end
  self.secrets[path] = text .. "\n"
  self.secret_names[d.name .. "\0" .. text] = path
  self:kept(d, "in the file " .. path)
  return path
end

-- --- mail{} and server{} ---

--- Raises what is wrong with a directive of mail{}.
local function check(d, place)
  if d.name == "error_log" then return log.check(d) end
  if place == "server" and (d.name == "listen" or d.name == "protocol") then return end
  local row = by_name[d.name]
  if not row then
    if d.name == "listen" or d.name == "protocol" or d.name == "server" then
      reader.fail(d, "\"%s\" directive is not allowed here", d.name)
    end
    local near = core.nearest(d.name, names)
    reader.fail(d, "unknown directive \"%s\"%s", d.name,
      near and (" (did you mean \"%s\"?)"):format(near) or "")
  end
  if d.block then reader.fail(d, "directive \"%s\" has no block", d.name) end
  if #d.arguments < row.least or #d.arguments > row.most then
    reader.fail(d, "invalid number of arguments in \"%s\" directive", d.name)
  end
  row.check(d)
end

local REPEATABLE = { listen = true, error_log = true }

--- The directives of a block by their names, as lists; every mistake in them is told.
local function gather(x, block, place)
  local found = {}
  for _, d in ipairs(block) do
    if not (place == "mail" and d.name == "server" and d.block) then
      x:try(check, d, place)
      local row = by_name[d.name]
      if found[d.name] and not REPEATABLE[d.name] and not (row and row.many) then
        x:mistake { path = d.path, line = d.line,
          text = ("\"%s\" directive is duplicate"):format(d.name) }
      end
      found[d.name] = found[d.name] or {}
      table.insert(found[d.name], d)
    end
  end
  return found
end

--- What a server has of a directive: its own, or else all that mail{} has.
local function effective(server, name) return server.own[name] or server.mail[name] end

local function first_word(server, name)
  local list = effective(server, name)
  return list and list[1].arguments[1]
end

local PROTOCOLS = { imap = true, pop3 = true, smtp = true }

local function protocol_of(server)
  local given = server.own.protocol
  if given then
    local name = given[1].arguments[1] or ""
    if not PROTOCOLS[name] then reader.fail(given[1], "unknown protocol \"%s\"", name) end
    return name
  end
  for _, each in ipairs(server.listens) do
    if each.protocol then return each.protocol end
  end
  reader.fail(server.directive, "unknown mail protocol for server")
end

--- Listeners of one server: those of its `listen` that may be one.
local function groups_of(server)
  local groups, by_sign = {}, {}
  local all_tls = (first_word(server, "ssl") or "off"):lower() == "on"
  for _, each in ipairs(server.listens) do
    each.tls = each.tls or all_tls
    local sign = listen.sign(each)
    if not by_sign[sign] then
      by_sign[sign] = {}
      table.insert(groups, by_sign[sign])
    end
    table.insert(by_sign[sign], each)
  end
  return groups
end

--- A name that no listener has: imap, imaps, imap2, ...
function Work:name_listener(protocol, implicit)
  local base = protocol .. (implicit and "s" or "")
  local name, count = base, 1
  while self.listener_names[name] do
    count = count + 1
    name = base .. count
  end
  self.listener_names[name] = true
  return name
end

local function set_addresses(x, group)
  local addresses = {}
  for _, each in ipairs(group) do
    for _, address in ipairs(each.addresses) do
      if x.taken[address] then
        reader.fail(each.directive, "duplicate \"%s\" address and port pair", address)
      end
      x.taken[address] = true
      table.insert(addresses, address)
    end
    x:kept(each.directive, ("listen \"%s\""):format(x.name))
    if each.multipath then x:differs(each.directive, "multipath: plain TCP") end
    if each.by_name then x:differs(each.directive, "the addresses that the name has now") end
  end
  x.listener:set("address", addresses, x:origin(group[1].directive))
end

local function set_socket(x, made)
  local socket = made.socket
  for _, key in ipairs(listen.SOCKET_KEYS) do
    local value = socket[key]
    local is_size = key == "receive_buffer" or key == "send_buffer"
    local is_default = key == "keepalive" and value == true
    if value ~= nil and not is_default then
      local words = is_size and units.size_text(value) or node.literal(value)
      x.listener:open("socket"):words(key, words, x:origin(made.directive))
    end
  end
end

local function open_tls(x, server, made)
  local starttls = first_word(server, "starttls")
  x.implicit = made.tls
  if not made.tls and (not starttls or starttls == "off") then return end
  local tls = x.listener:open "tls"
  local why = made.tls and made.directive or effective(server, "starttls")[1]
  if not effective(server, "ssl_certificate") then
    reader.fail(why, "no \"ssl_certificate\" is defined for server")
  end
  tls:set("mode", made.tls and "implicit" or starttls == "only" and "required" or "starttls",
    x:origin(why))
  tls:set("ciphers", "HIGH:!aNULL:!MD5", DEFAULT)
  x.tls = tls
end

--- What nginx does where nothing is said, and Moongate by itself would not.
local function set_defaults(x)
  local listener, protocol = x.listener, x.protocol
  listener:set("capabilities", DEFAULT_CAPABILITIES[protocol], DEFAULT)
  x:list_mechanisms(DEFAULT_MECHANISMS[protocol], DEFAULT)
  listener:set("pass_capabilities", false, "as nginx: the reply of the upstream as it is")
  listener:set("replies", "nginx", "as nginx: no response codes")
  listener:set("forward", protocol == "smtp" and "always" or "off",
    protocol == "smtp" and "nginx's default: xclient on" or "nginx tells nobody")
  listener:open("limits"):set("attempts", 1000000, "nginx does not count them")
  listener:open("limits"):set("hook_timeout", "1m", "nginx's default: auth_http_timeout 60s")
  x.auth:set("timeout", "1m", DEFAULT)
  x.auth:set("keepalive", 0, "as nginx: a connection for each question")
  if protocol == "smtp" then
    x.auth:set("smtp_login", false, "nginx's default: proxy_smtp_auth off")
  end
end

local function apply_rows(x, server)
  for _, row in ipairs(rows) do
    local list = effective(server, row.name)
    if list and row.only and row.only ~= x.protocol then
      for _, d in ipairs(list) do
        if server.own[row.name] then x:kept(d, "it does nothing for " .. x.protocol) end
      end
    elseif list and row.useless then
      for _, d in ipairs(list) do x.report:add(d, "not applicable", row.useless) end
    elseif list then
      row.apply(x, row.many and list or list[1])
    end
  end
end

local function convert_group(x, server, group)
  local made = group[1]
  local verify = first_word(server, "ssl_verify_client")
  x.protocol, x.tls, x.commands = server.protocol, nil, {}
  x.name = x:name_listener(x.protocol, made.tls)
  x.listener = node.new(("c.listen %q"):format(x.name))
  x.auth = node.new()
  x.takes_proxy_header = made.proxy_protocol
  set_addresses(x, group)
  x.listener:set("protocol", x.protocol, server.own.protocol and x:origin(server.own.protocol[1]))
  x.listener:set("policy", { "auth_http" })
  set_defaults(x)
  open_tls(x, server, made)
  x.asks_certificate = x.tls and verify and verify ~= "off"
  if made.proxy_protocol then
    local proxy = x.listener:open "proxy_protocol"
    proxy:set("from", {}, "nobody is believed: there is no set_real_ip_from")
    proxy:set("lenient", true, x:origin(made.directive))
  end
  apply_rows(x, server)
  if not (x.listed.PLAIN and x.listed.LOGIN) then
    x.listener:set("unlisted_plain", true, "as nginx: taken though it is not offered")
  end
  set_socket(x, made)
  table.insert(x.listeners, { name = x.name, node = x.listener, auth = x.auth })
end

local function convert_server(x, directive, mail)
  local server = { directive = directive, own = gather(x, directive.block, "server"),
    mail = mail, listens = {} }
  if #x.errors > 0 then return end
  for i, d in ipairs(server.own.listen or {}) do server.listens[i] = listen.read(d) end
  if #server.listens == 0 then
    reader.fail(directive, "no \"listen\" is defined for server")
  end
  if not effective(server, "auth_http") then
    reader.fail(directive, "no \"auth_http\" is defined for server")
  end
  server.protocol = protocol_of(server)
  x.report:kept(directive)
  if server.own.protocol then x:kept(server.own.protocol[1], "protocol") end
  for _, group in ipairs(groups_of(server)) do convert_group(x, server, group) end
  for _, d in ipairs(server.own.error_log or {}) do table.insert(x.server_logs, d) end
end

local function convert_mail(x, directive)
  local servers = {}
  local mail = gather(x, directive.block, "mail")
  x.report:kept(directive)
  for _, d in ipairs(directive.block) do
    if d.name == "server" and d.block then table.insert(servers, d) end
  end
  if #servers == 0 then reader.fail(directive, "there is no server{} in mail{}") end
  for _, d in ipairs(servers) do x:try(convert_server, x, d, mail) end
  for _, list in pairs(mail) do
    for _, d in ipairs(list) do
      if d.name ~= "error_log" and not x.report:knows(d) then
        x:kept(d, "no server has it from here")
      end
    end
  end
  x.mail_logs = mail.error_log
end

-- --- the whole ---

local function is_alike(one, other) return one:text() == other:text() end

--- Settings of auth_http: those of the first listener, and where others differ.
local function set_auth(x)
  local first = x.listeners[1].auth
  for _, listener in ipairs(x.listeners) do
    -- A listener without SMTP does not look at this.
    local login = listener.auth.named.smtp_login
    if login and not first:has "smtp_login" then
      first:words("smtp_login", login.words, login.origin)
    end
  end
  for _, listener in ipairs(x.listeners) do
    local login = first.named.smtp_login
    if login and not listener.auth:has "smtp_login" then
      listener.auth:words("smtp_login", login.words, login.origin)
    end
  end
  local settings = x.gateway:open "settings"
  local base = settings:open "auth_http"
  base.fields, base.named = first.fields, first.named
  local others
  for i = 2, #x.listeners do
    local listener = x.listeners[i]
    if not is_alike(listener.auth, first) then
      others = others or node.new()
      local own = others:open(listener.name)
      own.fields, own.named = listener.auth.fields, listener.auth.named
    end
  end
  if others then
    local field = base:open "listeners"
    field.fields, field.named = others.fields, others.named
  end
end

local function convert_main(x, directives)
  local mail, logs = nil, {}
  for _, d in ipairs(directives) do
    if d.name == "mail" and d.block then
      if mail then
        x:mistake { path = d.path, line = d.line, text = "\"mail\" directive is duplicate" }
      end
      mail = mail or d
    elseif d.name == "error_log" then
      x:try(log.check, d)
      table.insert(logs, d)
    else
      x:try(main.apply, x, d)
    end
  end
  if not mail then
    x:mistake { path = x.path, line = 1, text = "there is no mail{} in it" }
    return
  end
  x:try(convert_mail, x, mail)
  if #x.errors > 0 then return end
  x:try(log.apply, x, x.mail_logs or logs, x.server_logs, x.mail_logs and logs or {})
  if #x.resolver > 0 then
    local words = node.literal(x.resolver)
    if x.resolver_valid then
      words = words:gsub(" }$", (", valid = %s }"):format(x.resolver_valid))
    end
    x.gateway:words("resolver", words, x.resolver_origin)
  end
  set_auth(x)
  for _, listener in ipairs(x.listeners) do x.gateway:add(listener.node) end
end

function Work:mistake(mistake) table.insert(self.errors, mistake) end

--- Calls `fn`; a mistake that it raises is noted.
function Work:try(fn, ...)
  local fine, mistake = pcall(fn, ...)
  if fine then return end
  if type(mistake) ~= "table" then error(mistake, 0) end
  self:mistake(mistake)
end

local HEAD = [[
-- Made from %s by `moongate import`: what stands behind a value is where it comes from.
local c = require "moongate.config"

return c.gateway {
%s
}
]]

--- The configuration for `path`, { path = the absolute one, text =, secrets = { [name] = text },
-- report = }; or nil and the mistakes, each { path =, line =, text = }. `prefix` is nginx's -p.
function convert.file(path, prefix)
  local full = files.absolute(path)
  if not full then return nil, { { path = path, line = 1, text = "cannot be read" } } end
  local folder = files.folder(full)
  local x = setmetatable({ path = full, folder = folder, gateway = node.new(), resolver = {},
    prefix = prefix and files.absolute(prefix) or prefix or folder, errors = {}, listeners = {},
    listener_names = {}, taken = {}, secrets = {}, secret_names = {}, server_logs = {} }, Work)
  x.report = report.new(function(d) return x:origin(d) end)
  local directives
  x:try(function() directives = reader.read(full) end)
  if directives then convert_main(x, directives) end
  if #x.errors > 0 then return nil, x.errors end
  return { path = full, text = HEAD:format(full, x.gateway:text "  "), secrets = x.secrets,
    report = x.report }
end

return convert
