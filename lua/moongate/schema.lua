--- Checks plain tables against a description and makes values of them.
--
-- Used for moongate.lua itself and for `moongate.settings`.  All errors of a
-- table are reported, each with the line of its key.
local core = require "moongate.core"
local lines = require "moongate.lines"
local overlay = require "moongate.overlay"
local quoted = require "moongate.quoted"

local schema = {}

--- Where errors are gathered: { path =, line =, title =, name =, errors = {} }.
local Report = {}
Report.__index = Report

--- For a block that begins on a line of a file: { path =, line =, title = what stands before its
-- keys, name = what its table follows on that line, options = the table itself }.
function schema.report(block, errors)
  return setmetatable({ path = block.path, line = block.line, title = block.title,
    name = block.name, options = block.options, errors = errors }, Report)
end

--- One for the same block that gathers errors apart.
function Report:apart(errors) return schema.report(self, errors) end

--- "limits.attempts", "policy[2]"
function schema.path_text(keys)
  local words = {}
  for i, key in ipairs(keys) do
    words[i] = type(key) == "number" and "[" .. key .. "]" or (i > 1 and "." or "") .. key
  end
  return table.concat(words)
end

--- File and line on which the key at the end of the path stands.
function Report:place(keys)
  local path, line = overlay.place(self.options, keys)
  if path then return path, line end
  local text = core.text(self.path)
  return self.path, text and lines.key_line(text, self.line, self.name, keys) or self.line
end

--- Adds "file:line: title: key: message".
function Report:add(keys, message)
  local path, line = self:place(keys)
  local title = self.title ~= "" and self.title .. ": " or ""
  local name = #keys > 0 and schema.path_text(keys) .. ": " or ""
  self.errors[#self.errors + 1] = {
    path = path, line = line,
    text = ("%s:%d: %s%s%s"):format(path, line, title, name, message),
  }
end

local with = overlay.longer

local function describe(value)
  if core.is_secret(value) then return "a secret" end
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

-- Each type is a function (value, field) -> value, or nil and what is expected.
local types = {}

local function whole(value)
  return type(value) == "number" and value == math.floor(value)
end

local function ranged(value, field)
  if field.min and value < field.min then return nil, ("at least %s"):format(field.min) end
  if field.max and value > field.max then return nil, ("at most %s"):format(field.max) end
  return value
end

function types.string(value)
  if type(value) ~= "string" or value == "" then return nil, "a text" end
  if value:find "%c" then return nil, "a text without control characters" end
  return value
end

function types.text(value)
  if value == "" then return value end
  return types.string(value)
end

function types.boolean(value)
  if type(value) ~= "boolean" then return nil, "true or false" end
  return value
end

function types.number(value, field)
  if type(value) ~= "number" or value ~= value then return nil, "a number" end
  return ranged(value, field)
end

function types.integer(value, field)
  for _, other in ipairs(field.also or {}) do
    if value == other then return value end
  end
  if not whole(value) then return nil, "a whole number" end
  return ranged(value, field)
end

local SECONDS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
local BYTES = { [""] = 1, k = 1024, m = 1024 * 1024, g = 1024 * 1024 * 1024 }

local function scaled(value, units)
  if type(value) ~= "string" then return nil end
  local digits, unit = value:match "^(%d+%.?%d*)(%a*)$"
  return digits and units[unit] and tonumber(digits) * units[unit]
end

function types.duration(value, field)
  local seconds = type(value) == "number" and value or scaled(value, SECONDS)
  if not seconds or seconds < 0 then return nil, "seconds, or a text such as \"10s\"" end
  return ranged(seconds, field)
end

function types.size(value, field)
  local bytes = whole(value) and value or scaled(value, BYTES)
  if not whole(bytes) or bytes < 0 then
    return nil, field.expected or "bytes, or a text such as \"8k\""
  end
  return ranged(bytes, field)
end

function types.enum(value, field)
  for _, allowed in ipairs(field.values) do
    if value == allowed then return value end
  end
  local near = type(value) == "string" and core.nearest(value, field.values)
  return nil, "one of " .. table.concat(field.values, ", ")
    .. (near and (" (did you mean \"%s\"?)"):format(near) or "")
end

--- An upstream: "host:port", "[::1]:143", "unix:/path", or a host alone.
local function checked(value, expected, error_of)
  local message = type(value) == "string" and error_of(value)
  if type(value) ~= "string" or message then
    return nil, expected .. (message and " (" .. message .. ")" or "")
  end
  return value
end

--- Or "pool:NAME", of the configuration's pools.
function types.target(value)
  local target, expected = checked(value, "an upstream such as \"10.0.0.5:143\"",
    core.target_error)
  local pool = target and target:match "^pool:([%a_].*)$"
  if not pool or core.pools[pool] then return target, expected end
  local near = core.nearest(pool, core.pools)
  return nil, "one of the `pools`" .. (near and (" (did you mean \"pool:%s\"?)"):format(near) or "")
end
types.address = types.target

--- A member of a pool.
function types.place(value)
  if type(value) == "string" and value:find "^pool:[%a_]" then
    return nil, "an upstream that is no pool"
  end
  return types.target(value)
end

function types.source(value)
  return checked(value, "an IP address", core.ip_error)
end

function types.pin(value)
  return checked(value, "\"sha256/\" and 44 digits of base64", core.pin_error)
end

function types.listen_address(value)
  return checked(value, "an address such as \"[::]:143\"", core.address_error)
end

function types.path(value)
  if type(value) ~= "string" or not value:match "^/" or value:find "%c" or #value > 100 then
    return nil, "an absolute path of at most 100 bytes"
  end
  return value
end

function types.mode(value)
  local digits = type(value) == "string" and value:match "^0?([0-7][0-7][0-7])$"
  if not digits or digits == "000" then return nil, "three octal digits" end
  return value
end

function types.network(value)
  return checked(value, "a network such as \"10.0.0.0/8\"", core.network_error)
end

function types.resolver(value)
  return checked(value, "an address such as \"127.0.0.53\"", core.resolver_error)
end

function types.mechanism(value)
  local known = { "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2",
    "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "APOP" }
  return types.enum(type(value) == "string" and value:upper() or value, { values = known })
end

function types.policy(value)
  if type(value) ~= "string" or not value:match "^[%w_][%w_-]*$" then
    return nil, "the name of a policy"
  end
  return value
end

function types.secret(value)
  if type(value) == "string" then return core.secret(value) end
  if not core.is_secret(value) then return nil, "a text or a c.secret" end
  return value
end

--- Memory of this machine, as bytes, or the URL of a Redis server.
function types.store(value, field)
  if core.is_secret(value) or type(value) == "string" and value:find "^%l+:" then
    return value
  end
  return types.size(value, field)
end

local function field_of(description)
  return type(description) == "table" and description or { type = description }
end

local Check = {}
Check.__index = Check

--- Copies plain data: no functions, threads or foreign objects in it.
function Check:data(keys, value)
  if type(value) ~= "table" then
    local plain = type(value) ~= "function" and type(value) ~= "thread"
      and (type(value) ~= "userdata" or core.is_secret(value))
    if not plain then
      self.report:add(keys, "data expected, not " .. describe(value))
      return nil
    end
    return value
  end
  local copy = {}
  for k, v in pairs(value) do copy[k] = self:data(with(keys, k), v) end
  return copy
end

function Check:list(keys, value, field)
  if type(value) ~= "table" then value = { value } end
  local list = {}
  for k in pairs(value) do
    if not whole(k) then
      self.report:add(keys, "a list expected, not a table with names (" .. tostring(k) .. ")")
      return list
    end
  end
  for i, item in ipairs(value) do
    list[#list + 1] = self:value(with(keys, i), item, field_of(field.of))
  end
  if field.required and next(value) == nil then self.report:add(keys, "at least one is needed") end
  if field.max and #list > field.max then
    self.report:add(keys, ("at most %d are allowed"):format(field.max))
  end
  return list
end

function Check:map(keys, value, field)
  if type(value) ~= "table" then
    self.report:add(keys, "a table expected, not " .. describe(value))
    return {}
  end
  local map = {}
  for k, v in pairs(value) do
    if type(k) ~= "string" then
      self.report:add(keys, "names expected as keys, not " .. describe(k))
    elseif field.names and not k:match(field.names) then
      self.report:add(with(keys, k), "a name of letters, digits, _ and - expected, "
        .. "not beginning with a digit")
    else
      map[k] = self:value(with(keys, k), v, field_of(field.of))
    end
  end
  return map
end

--- One value; nil after an error.
function Check:value(keys, value, field)
  local kind = field.type or field[2]
  if kind == "data" then return self:data(keys, value) end
  if kind == "list" then return self:list(keys, value, field) end
  if kind == "map" then return self:map(keys, value, field) end
  if kind == "section" then
    if field.short and type(value) ~= "table" then value = { [field.short] = value } end
    return self:fields(keys, value, field.fields or self.sections[field.section])
  end
  local read = types[kind] or error("schema: unknown type \"" .. tostring(kind) .. "\"", 0)
  local result, expected = read(value, field)
  if result == nil then
    local what = kind == "secret" and "a " .. type(value) or describe(value)
    self.report:add(keys, ("%s expected, not %s"):format(expected, what))
  elseif types[kind] == types.target and self.report.targets then
    table.insert(self.report.targets, { text = result, keys = keys })
  end
  return result
end

local function default_of(self, keys, field)
  local kind = field[2] or field.type
  if field.optional then return nil end
  if kind == "section" then
    return self:fields(keys, {}, field.fields or self.sections[field.section])
  end
  if kind == "duration" or kind == "size" or kind == "secret" then
    return field.default and types[kind](field.default, {})
  end
  return field.default
end

--- Reports unknown keys; returns the names that were probably meant.
function Check:unknown(keys, value, names)
  local meant = {}
  for key in pairs(value) do
    if type(key) ~= "string" then
      self.report:add(keys, "a key without a name: " .. describe(value[key]))
    elseif not names[key] then
      local near = core.nearest(key, names)
      self.report:add(with(keys, key), "unknown key"
        .. (near and (" (did you mean \"%s\"?)"):format(near) or ""))
      meant[near or ""] = true
    end
  end
  return meant
end

--- The field that the members without a name belong to, or nil.
local function unnamed_of(fields)
  for _, field in ipairs(fields) do
    if field.unnamed then return field end
  end
end

--- The members with a name and those without.
local function split(value)
  local named, list = {}, {}
  for k, v in pairs(value) do
    if whole(k) then list[k] = v else named[k] = v end
  end
  return named, list
end

--- A table with the named `fields`; unknown keys are errors.
function Check:fields(keys, value, fields)
  local unnamed, list = unnamed_of(fields), nil
  if unnamed and type(value) ~= "table" then value = { value } end
  if type(value) ~= "table" then
    self.report:add(keys, "a table expected, not " .. describe(value))
    return {}
  end
  if unnamed then value, list = split(value) end
  local names, result = {}, {}
  for _, field in ipairs(fields) do
    if field ~= unnamed then
      names[#names + 1] = field[1]
      names[field[1]] = true
    end
  end
  local meant = self:unknown(keys, value, names)
  for _, field in ipairs(fields) do
    local name = field[1]
    if field == unnamed then
      result[name] = self:value(keys, list, field)
    elseif value[name] ~= nil then
      result[name] = self:value(with(keys, name), value[name], field)
    elseif meant[name] then
      result[name] = nil -- one error is enough
    elseif field.required then
      self.report:add(keys, ("\"%s\" is missing"):format(name))
    else
      result[name] = default_of(self, with(keys, name), field)
    end
  end
  return result
end

--- Checks `value` against `fields`; the result has every default.
function schema.check(value, fields, report, sections, keys)
  local check = setmetatable({ report = report, sections = sections or {} }, Check)
  return check:fields(keys or {}, value, fields)
end

--- Settings of a policy: `description` is { values = type }, or
-- { name = type or { type, default =, required = } }, or nil for any data.
function schema.settings(value, description, report, keys)
  local check = setmetatable({ report = report, sections = {} }, Check)
  if description == nil then return check:data(keys, value) end
  if description.values then return check:map(keys, value, { of = description.values }) end
  local fields = {}
  for name, field in pairs(description) do
    local whole_field = { name }
    for k, v in pairs(field_of(field)) do
      if k ~= 1 then whole_field[k] = v end
    end
    whole_field[2] = field_of(field).type or field_of(field)[1]
    fields[#fields + 1] = whole_field
  end
  table.sort(fields, function(a, b) return a[1] < b[1] end)
  return check:fields(keys, value, fields)
end

--- All errors as one text, in the order of their lines.
function schema.text(errors)
  local texts = {}
  table.sort(errors, function(a, b)
    if a.path ~= b.path then return a.path < b.path end
    if a.line ~= b.line then return a.line < b.line end
    return a.text < b.text
  end)
  for i, e in ipairs(errors) do texts[i] = e.text end
  return table.concat(texts, "\n")
end

return schema
