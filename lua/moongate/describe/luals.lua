--- Definitions for lua-language-server: what an editor completes, explains and checks.
--
-- Definition files have no code that runs ("---@meta"); the name behind it is what is required.
local describe = require "moongate.describe"
local text = require "moongate.describe.text"

local luals = {}

local Lines = {}
Lines.__index = Lines

function Lines:add(...) self[#self + 1] = table.concat { ... } end

--- A comment of a declaration, if there is one.
function Lines:doc(words)
  for _, line in ipairs(text.wrap(words or "", 95)) do self:add("---", line) end
end

--- A type of the description with our classes by their whole names.
local function type_text(words)
  return (words:gsub("%f[%w_]%u[%w_]*", "moongate.%0"))
end

local function values_text(values)
  local words = {}
  for i, value in ipairs(values) do
    words[i] = text.literal(type(value) == "table" and value[1] or value)
  end
  return table.concat(words, "|")
end

local function is_optional(field) return field.optional or field.default ~= nil end

-- Classes ------------------------------------------------------------------------

--- Declares the classes of fields that have fields; then gives the type of each.
local add_class

local function field_type(lines, path, field)
  if field.values then return values_text(field.values) end
  if not field.fields then return type_text(field[2]) end
  local name = path .. "." .. field[1]
  add_class(lines, { path = name, fields = field.fields, doc = field.doc })
  return name .. (field[2]:match "%?$" or "")
end

--- The lines of a class; those of the classes in it come first. `path` is its whole name.
function add_class(lines, class)
  local fields = {}
  for i, field in ipairs(class.fields or {}) do
    local meaning = text.meaning(field)
    fields[i] = ("---@field %s%s %s%s"):format(field[1], is_optional(field) and "?" or "",
      field_type(lines, class.path, field), meaning ~= "" and " " .. meaning or "")
  end
  lines:add ""
  lines:doc(class.doc)
  lines:add("---@class ", class.open and "" or "(exact) ", class.path)
  if class.open then lines:add("---@field [string|number] ", class.open) end
  for _, more in ipairs(class.more or {}) do lines:add(more) end
  for _, line in ipairs(fields) do lines:add(line) end
end

-- Functions ----------------------------------------------------------------------

local function argument_type(lines, path, argument)
  return field_type(lines, path, argument)
end

local function returned(fn)
  local results = {}
  for i, value in ipairs(fn.returns or {}) do
    results[i] = { type_text(value[1]), value.doc }
  end
  if fn.fails then
    if results[1] and not results[1][1]:match "%?$" and results[1][1] ~= "any" then
      results[1][1] = results[1][1] .. "?"
    end
    results[#results + 1] = { "moongate.Failure?", "err" }
    results[#results + 1] = fn.partial
  end
  return results
end

--- The annotations of a function and its head: "function moongate.now() end".
local function add_function(lines, head, path, fn)
  local types, names = {}, {}
  for i, argument in ipairs(fn.arguments or {}) do
    types[i], names[i] = argument_type(lines, path, argument), argument[1]
  end
  lines:add ""
  lines:doc(fn.doc)
  if fn.errors then lines:doc(fn.errors:gsub("^%l", string.upper) .. ".") end
  lines:doc("@since " .. (fn.since or describe.FIRST))
  if fn.awaits then lines:add "---@async" end
  for i, argument in ipairs(fn.arguments or {}) do
    local meaning = text.meaning(argument)
    lines:add(("---@param %s%s %s%s"):format(names[i], is_optional(argument) and "?" or "",
      types[i], meaning ~= "" and " " .. meaning or ""))
  end
  for _, result in ipairs(returned(fn)) do
    lines:add("---@return ", result[1], result[2] and " # " .. result[2] or "")
  end
  lines:add("function ", head, "(", table.concat(names, ", "), ") end")
end

--- "fun(session: moongate.Session): moongate.Decision?"
local function function_type(fn, result)
  local words = {}
  for i, argument in ipairs(fn.arguments or {}) do
    words[i] = argument[1] .. ": " .. type_text(argument[2])
  end
  return (fn.awaits and "async " or "") .. "fun(" .. table.concat(words, ", ") .. ")"
    .. (result and ": " .. result or "")
end

local function add_object(lines, class)
  local path = "moongate." .. class[1]
  local more = {}
  if class.call then
    local words, result = {}, returned(class.call)[1]
    for i, argument in ipairs(class.call.arguments or {}) do
      words[i] = argument[1] .. ": " .. type_text(argument[2])
    end
    more[1] = ("---@overload fun(%s): %s"):format(table.concat(words, ", "), result[1])
  end
  add_class(lines, { path = path, fields = class.fields, doc = class.doc, open = class.open,
    more = more })
  if not class.methods then return end
  lines:add("local ", class[1], " = {}")
  for _, method in ipairs(class.methods) do
    add_function(lines, class[1] .. ":" .. method[1], path .. "." .. method[1], method)
  end
end

-- Policies -------------------------------------------------------------------------

local function hook_result(hook)
  if hook.returns then return type_text(hook.returns) .. "?" end
  return #hook.decides > 0 and "moongate.Decision?" or nil
end

local function add_policy(lines)
  lines:add ""
  lines:doc "What a policy returns."
  lines:add "---@class (exact) moongate.Policy"
  for _, hook in ipairs(describe.hooks) do
    lines:add(("---@field %s? %s %s Asked %s."):format(hook[1],
      function_type(hook, hook_result(hook)), hook.doc, hook.asked))
  end
end

local function options_name(decision)
  return "moongate." .. decision[1]:gsub("^%l", string.upper) .. "Options"
end

local function add_decisions(lines)
  for _, decision in ipairs(describe.decisions) do
    if not decision.argument then
      add_class(lines, { path = options_name(decision), fields = decision.fields,
        doc = "Fields of `moongate." .. decision[1] .. "`." })
    end
  end
end

local function add_constructors(lines)
  for _, decision in ipairs(describe.decisions) do
    local argument = decision.fields[1]
    if not decision.argument then
      argument = { "options", "table", optional = true }
    end
    lines:add ""
    lines:doc(decision.doc)
    lines:doc("@since " .. (decision.since or describe.FIRST))
    lines:add(("---@param %s%s %s"):format(argument[1], argument.optional and "?" or "",
      decision.argument and argument[2] or options_name(decision)))
    lines:add "---@return moongate.Decision"
    lines:add("function M.", decision[1], "(", argument[1], ") end")
  end
end

local function add_aliases(lines)
  local labels = {}
  for _, reason in ipairs(describe.reasons) do
    labels[#labels + 1] = reason[1]
    for _, label in ipairs(reason.labels) do labels[#labels + 1] = label end
  end
  lines:add ""
  lines:add("---@alias moongate.Reason ", values_text(labels))
  for _, alias in ipairs(describe.aliases) do
    lines:add ""
    lines:doc(alias.doc)
    lines:add("---@alias moongate.", alias[1], " ", values_text(alias.values))
  end
end

-- The configuration ------------------------------------------------------------------

local KEY_TYPES = {
  duration = "number|string", size = "integer|string", boolean = "boolean", number = "number",
  integer = "integer", data = "any", secret = "moongate.Secret|string",
  store = "integer|string|moongate.Secret",
}

local function section_class(name)
  return "moongate." .. ("_" .. name):gsub("_(%l)", string.upper) .. "Options"
end

local key_type

local function section_type(name)
  local unnamed = describe.unnamed(name)
  return (unnamed and key_type(unnamed) .. "|" or "") .. section_class(name)
end

local function item_type(of)
  if type(of) == "string" then return KEY_TYPES[of] or "string" end
  if of.section then
    local short = of.short and describe.named(describe.config[of.section], of.short)
    return (short and key_type(short) .. "|" or "") .. section_type(of.section)
  end
  return key_type { "", of.type or of[1], values = of.values, of = of.of }
end

function key_type(field)
  local kind = field[2]
  if kind == "section" then return section_type(field.section) end
  if kind == "enum" then return values_text(field.values) end
  if kind == "map" then return ("table<string, %s>"):format(item_type(field.of)) end
  if kind == "list" then
    local item = item_type(field.of)
    return item:find "|" and ("(%s)[]|%s"):format(item, item) or item .. "[]|" .. item
  end
  local words = KEY_TYPES[kind] or "string"
  return field.also and words .. "|" .. values_text(field.also) or words
end

local function add_configuration(lines)
  for _, section in ipairs(describe.sections()) do
    lines:add ""
    lines:add("---@class (exact) ", section_class(section[1]))
    if section[1] == "gateway" then lines:add "---@field [integer] table" end
    for _, field in ipairs(section.fields) do
      if field.unnamed then
        lines:add("---@field [integer] ", item_type(field.of))
      else
        lines:add(("---@field %s%s %s %s"):format(field[1], field.required and "" or "?",
          key_type(field), text.meaning(field)))
      end
    end
  end
end

-- Files --------------------------------------------------------------------------------

local function start(name)
  return setmetatable({ "---@meta " .. name, "-- Written by `moongate lsp`." }, Lines)
end

local function add_module(lines, module)
  for _, class in ipairs(module.classes or {}) do add_object(lines, class) end
  lines:add ""
  lines:doc(module.doc)
  local values, nested = {}, {}
  for _, value in ipairs(module.values or {}) do
    values[#values + 1] = ("---@field %s %s %s"):format(value[1], value.link and "table"
      or type_text(value[2]), value.doc or "")
  end
  lines:add("---@class ", module.name)
  for _, line in ipairs(values) do lines:add(line) end
  lines:add "local M = {}"
  for _, fn in ipairs(module.functions) do
    local parent = fn[1]:match "^(.+)%."
    if parent and not nested[parent] then
      nested[parent] = true
      lines:add("M.", parent, " = {}")
    end
    add_function(lines, "M." .. fn[1], module.name .. "." .. fn[1], fn)
  end
  if module.decisions then add_constructors(lines) end
end

local function finish(lines)
  lines:add ""
  lines:add "return M"
  return table.concat(lines, "\n") .. "\n"
end

--- The definition files: name in the library's folder to text.
function luals.files()
  local files = {}
  for _, module in ipairs(describe.modules) do
    local lines = start(module.name)
    if module.decisions then
      add_aliases(lines)
      for _, class in ipairs(describe.classes) do add_object(lines, class) end
      add_decisions(lines)
      add_policy(lines)
    elseif module.configuration then
      add_configuration(lines)
    end
    add_module(lines, module)
    files[module.name:gsub("%.", "/") .. ".d.lua"] = finish(lines)
  end
  return files
end

--- What the library lacks of LuaJIT's own; the rest of it is there.
luals.settings = {
  ["runtime.version"] = "LuaJIT",
  ["runtime.path"] = { "?.lua", "scripts/?.lua" },
  ["runtime.builtin"] = {
    io = "disable", ffi = "disable", jit = "disable", ["jit.profile"] = "disable",
    ["jit.util"] = "disable", ["string.buffer"] = "disable", ["table.clear"] = "disable",
    ["table.new"] = "disable",
  },
  ["workspace.library"] = { "library" },
  ["workspace.checkThirdParty"] = false,
}

return luals
