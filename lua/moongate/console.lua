--- The half of `moongate console` that lives in the state of the policies.
--
-- What is typed runs in `environment`: that of policies, with the modules at hand by their short
-- names (`http` is moongate.http), and with variables of its own, which can be assigned.
local console = {}

local DEPTH, ENTRIES = 4, 50 -- of a table that is shown

local variables, printed = {}, {}
local short = {}
for _, name in ipairs(require "api.modules") do
  short[name] = name == "moongate" and name or "moongate." .. name
end
short.spec, short.constructors = nil, nil

console.environment = setmetatable({}, {
  __index = function(_, name)
    if variables[name] ~= nil then return variables[name] end
    if short[name] then return require(short[name]) end
    local defined, value = pcall(function() return _G[name] end)
    if not defined then error(("undefined global %q"):format(tostring(name)), 2) end
    return value
  end,
  __newindex = function(_, name, value) variables[name] = value end,
})

-- Values ------------------------------------------------------------------------

local function text_of(value)
  return type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n") or tostring(value)
end

local function key_text(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then return key end
  return "[" .. text_of(key) .. "]"
end

local function before(a, b)
  if type(a) == "number" and type(b) == "number" then return a < b end
  if type(a) ~= type(b) then return type(a) == "number" end
  return tostring(a) < tostring(b)
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, before)
  return keys
end

local show

local function show_entries(t, indent, depth, above)
  local lines, inner = {}, indent .. "  "
  local keys, count = sorted_keys(t), 0
  for _, key in ipairs(keys) do
    count = count + 1
    if count > ENTRIES then
      lines[#lines + 1] = ("%s... and %d more"):format(inner, #keys - ENTRIES)
      break
    end
    local name = key == count and "" or key_text(key) .. " = "
    lines[#lines + 1] = inner .. name .. show(t[key], inner, depth + 1, above) .. ","
  end
  if #lines == 0 then return "{}" end
  return "{\n" .. table.concat(lines, "\n") .. "\n" .. indent .. "}"
end

function show(value, indent, depth, above)
  if type(value) ~= "table" then return (text_of(value)) end
  if above[value] then return "{ itself }" end
  if depth > DEPTH then return "{ ... }" end
  above[value] = true
  local text = show_entries(value, indent, depth, above)
  above[value] = nil
  return text
end

--- A value as it is shown. Secrets are opaque.
function console.show(value) return show(value, "", 1, {}) end

-- What is typed -----------------------------------------------------------------

function variables.print(...)
  local words = { ... }
  for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
  printed[#printed + 1] = table.concat(words, "\t")
end

local function values(...) return ... end

local function results(...)
  for i = 1, select("#", ...) do printed[#printed + 1] = console.show((select(i, ...))) end
end

--- Runs what was typed; all that it printed and returned.
function console.run(chunk)
  printed = {}
  results(chunk(values))
  return table.concat(printed, "\n")
end

--- The names that may follow `path`, one a line: of a variable's fields, or of all variables.
function console.names(path)
  local value = variables
  for name in path:gmatch "[%w_]+" do
    value = type(value) == "table" and value[name] or nil
  end
  local names = {}
  for key in pairs(type(value) == "table" and value or {}) do
    if type(key) == "string" then names[#names + 1] = key end
  end
  return table.concat(names, "\n")
end

return console
