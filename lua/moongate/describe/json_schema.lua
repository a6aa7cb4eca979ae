--- The configuration as a JSON schema (2020-12), for the data that `c.gateway` is given.
--
-- Listeners, which moongate.lua has as unnamed members, are the objects in "listen", each with its
-- "name"; the unnamed members of another section are the whole of it, or in its list of them
-- ("members" of a pool).
local describe = require "moongate.describe"

local ANY_DURATION = "^[0-9]+(\\.[0-9]*)?(ms|s|m|h|d)$"
local ANY_SIZE = "^[0-9]+(\\.[0-9]*)?[kmg]?$"

local types = {}

local function ranged(kind, field)
  return { type = kind, minimum = field.min, maximum = field.max }
end

function types.boolean() return { type = "boolean" } end
function types.data() return {} end
function types.number(field) return ranged("number", field) end
function types.duration(field)
  return { anyOf = { ranged("number", field), { type = "string", pattern = ANY_DURATION } } }
end
function types.size(field)
  return { anyOf = { ranged("integer", field), { type = "string", pattern = ANY_SIZE } } }
end
function types.store(field)
  return { anyOf = { ranged("integer", field), { type = "string", minLength = 1 } } }
end
function types.enum(field) return { enum = field.values } end
function types.text() return { type = "string" } end
function types.policy() return { type = "string", pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]*$" } end

function types.integer(field)
  local whole = ranged("integer", field)
  if not field.also then return whole end
  return { anyOf = { whole, { enum = field.also } } }
end

local function section(name) return { ["$ref"] = "#/$defs/" .. name } end

local value

local function item(of)
  if type(of) == "string" then return value { "", of } end
  if of.short then
    local short = describe.named(describe.config[of.section], of.short)
    return { anyOf = { value(short), section(of.section) } }
  end
  if of.section then return types.section(of) end
  return value { "", of.type or of[1], values = of.values, of = of.of, min = of.min, max = of.max }
end

function types.list(field)
  local one = item(field.of)
  local several = { type = "array", items = one, minItems = field.required and 1 or nil }
  return { anyOf = { one, several } }
end

function types.map(field)
  return { type = "object", additionalProperties = item(field.of) }
end

function types.section(field)
  local unnamed = describe.unnamed(field.section)
  if not unnamed then return section(field.section) end
  return { anyOf = { types.list(unnamed), section(field.section) } }
end

function value(field)
  local make = types[field[2]]
  return make and make(field) or { type = "string", minLength = 1 }
end

local function default_of(field)
  if type(field.default) == "table" and #field.default == 0 then return nil end
  return field.default
end

local function object(fields)
  local properties, required = {}, {}
  for _, field in ipairs(fields) do
    local property = value(field)
    property.description, property.default = field.doc, default_of(field)
    properties[field[1]] = property
    if field.required then required[#required + 1] = field[1] end
  end
  return { type = "object", properties = properties, additionalProperties = false,
    required = required[1] and required }
end

--- The schema as a table.
return function()
  local defs = {}
  for _, found in ipairs(describe.sections()) do defs[found[1]] = object(found.fields) end
  local gateway = defs.gateway
  defs.gateway = nil
  defs.listen.properties.name = types.policy()
  table.insert(defs.listen.required, "name")
  gateway["$schema"] = "https://json-schema.org/draft/2020-12/schema"
  gateway.title = "moongate.lua"
  gateway["$defs"] = defs
  gateway.properties.listen = { type = "array", items = section "listen", minItems = 1 }
  gateway.required = { "listen" }
  return gateway
end
