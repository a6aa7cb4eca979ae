--- The description of the API (lua/api) for the tools that are made of it.
--
--     local describe = require "moongate.describe"
--     describe.find "auth.reject"              -- { entry }, or none and what was probably meant
--     describe.globals "policy".string.upper   -- true: what a policy may name
--     describe.module "moongate.http".get      -- true: what the module has
--
-- An entry is { name =, kind =, ... }: what the description says about the name, and where it
-- stands. The format of the description is explained in lua/api/README.md.
local describe = {
  hooks = require "api.hooks", decisions = require "api.decisions",
  reasons = require "api.reasons", aliases = require "api.objects".aliases,
  classes = require "api.objects".classes, environment = require "api.environment",
  config = require "api.config", modules = {},
}
for i, name in ipairs(require "api.modules") do
  describe.modules[i] = require("api." .. name)
end

--- The first release; what has no `since` came with it.
describe.FIRST = "0.1"

--- The member of a list that has the name.
function describe.named(list, name)
  for _, member in ipairs(list) do
    if member[1] == name or member.name == name then return member end
  end
end

--- The field of a section that its members without a name belong to, or nil.
function describe.unnamed(section)
  for _, field in ipairs(describe.config[section]) do
    if field.unnamed then return field end
  end
end

--- The names of a list's members.
function describe.names(list)
  local names = {}
  for i, member in ipairs(list) do names[i] = member[1] end
  return names
end

-- Sections of the configuration ------------------------------------------------

--- The section that a key leads to, whether by itself or for every name; or nil.
function describe.section_of(field)
  local of = type(field.of) == "table" and field.of or {}
  return field.section or of.section
end

--- The sections of the configuration: { name, title =, fields = }, each once.
function describe.sections()
  local found, seen = {}, {}
  local function walk(name)
    if seen[name] then return end
    seen[name] = true
    local fields = describe.config[name]
    found[#found + 1] = { name, title = fields.title or name, fields = fields }
    for _, field in ipairs(fields) do
      local section = describe.section_of(field)
      if section then walk(section) end
    end
  end
  walk "gateway"
  walk "listen"
  return found
end

-- Names ------------------------------------------------------------------------

local function add(index, name, kind, entry)
  entry.name, entry.kind = name, kind
  index.entries[#index.entries + 1] = entry
  index.by_name[name] = index.by_name[name] or {}
  table.insert(index.by_name[name], entry)
end

local function add_fields(index, path, fields, of)
  for _, field in ipairs(fields or {}) do
    add(index, path .. "." .. field[1], "field", { field = field, of = of })
    add_fields(index, path .. "." .. field[1], field.fields, of)
  end
end

local function add_function(index, path, fn, of)
  add(index, path .. "." .. fn[1], "function", { fn = fn, of = of, path = path })
  for _, argument in ipairs(fn.arguments or {}) do
    add_fields(index, path .. "." .. fn[1], argument.fields, path .. "." .. fn[1])
  end
end

local function add_hooks(index)
  for _, hook in ipairs(describe.hooks) do
    add(index, hook[1], "hook", { hook = hook })
    for _, name in ipairs(hook.decides) do
      add(index, hook[1] .. "." .. name, "answer",
        { hook = hook, decision = describe.named(describe.decisions, name) })
    end
  end
end

local function add_decisions(index)
  for _, decision in ipairs(describe.decisions) do
    local name = "moongate." .. decision[1]
    add(index, name, "decision", { decision = decision })
    add_fields(index, name, decision.fields, name)
  end
end

local function add_class(index, class)
  add(index, class.variable, "class", { class = class })
  add_fields(index, class.variable, class.fields, class.variable)
  for _, method in ipairs(class.methods or {}) do
    add_function(index, class.variable, method, class)
  end
end

local function add_modules(index)
  for _, module in ipairs(describe.modules) do
    add(index, module.name, "module", { module = module })
    for _, fn in ipairs(module.functions) do add_function(index, module.name, fn, module) end
    add_fields(index, module.name, module.values, module.name)
  end
end

--- The keys of a section under every path that leads there; `doc` is of the key that does.
local function add_section(index, path, fields, doc)
  add(index, path, "section", { section = { fields = fields, doc = doc } })
  for _, field in ipairs(fields) do
    local section = describe.section_of(field)
    local name = path .. "." .. field[1]
    if section then
      add_section(index, name, describe.config[section], field.doc)
    else
      add(index, name, "key", { field = field })
    end
  end
end

local function add_globals(index)
  for _, global in ipairs(describe.environment.policy) do
    add(index, global[1], "global", { global = global })
  end
end

local function classes_of_all()
  local classes = {}
  for _, class in ipairs(describe.classes) do classes[#classes + 1] = class end
  for _, module in ipairs(describe.modules) do
    for _, class in ipairs(module.classes or {}) do classes[#classes + 1] = class end
  end
  return classes
end

--- Every class, of the objects and of the modules.
describe.all_classes = classes_of_all()

local function build()
  local index = { entries = {}, by_name = {} }
  add_hooks(index)
  add_decisions(index)
  for _, reason in ipairs(describe.reasons) do
    add(index, reason[1], "reason", { reason = reason })
  end
  for _, class in ipairs(describe.all_classes) do add_class(index, class) end
  for _, alias in ipairs(describe.aliases) do add(index, alias[1], "alias", { alias = alias }) end
  add_modules(index)
  add_section(index, "gateway", describe.config.gateway, "what the whole process does")
  add_section(index, "listen", describe.config.listen, "what one listener does")
  add_globals(index)
  return index
end

local built

--- Every entry, in the order of the manual.
function describe.entries()
  built = built or build()
  return built.entries
end

local function ends_with(text, tail)
  return #text > #tail and text:sub(-#tail) == tail
end

--- The entries of that name, also with "moongate." before it. If there are none, those that end
-- with it ("tls.sni", "hook_timeout").
function describe.find(name)
  describe.entries()
  name = name:gsub(":", ".")
  local found = {}
  for _, whole in ipairs { name, "moongate." .. name } do
    for _, entry in ipairs(built.by_name[whole] or {}) do found[#found + 1] = entry end
  end
  if #found > 0 then return found end
  for _, entry in ipairs(built.entries) do
    if ends_with(entry.name, "." .. name) then found[#found + 1] = entry end
  end
  return found
end

--- The name that was probably meant, or nil; `nearest(wanted, names)` tells it among up to 100.
function describe.near(name, nearest)
  local wanted, names = name:match "[^.]*$", {}
  for _, entry in ipairs(describe.entries()) do
    names[entry.name], names[entry.name:match "[^.]*$"] = true, true
  end
  local list, best = {}, nil
  for known in pairs(names) do list[#list + 1] = known end
  table.sort(list)
  for _, sought in ipairs { name, wanted } do
    for from = 1, #list, 100 do
      local some = { best }
      for i = from, math.min(from + 99, #list) do some[#some + 1] = list[i] end
      best = nearest(sought, some) or best
    end
    if best then return best end
  end
end

-- What a file may name -----------------------------------------------------------

local function words(text)
  local set = {}
  for word in text:gmatch "%S+" do set[word] = true end
  return set
end

--- The globals of a "policy" or a "configuration": true, or a table's members as a set.
function describe.globals(kind)
  local globals = {}
  for _, global in ipairs(describe.environment[kind]) do
    globals[global[1]] = global.fields and words(global.fields) or true
  end
  return globals
end

--- The members of a module as a set, or nil if there is no such module.
function describe.module(name)
  local module = describe.named(describe.modules, name)
  if not module then return nil end
  local members = {}
  for _, fn in ipairs(module.functions) do members[fn[1]:match "^[^.]*"] = true end
  for _, value in ipairs(module.values or {}) do members[value[1]] = true end
  for _, decision in ipairs(module.decisions and describe.decisions or {}) do
    members[decision[1]] = true
  end
  return members
end

return describe
