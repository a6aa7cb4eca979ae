--- Lays one table over another, and remembers which of its values came from where.
--
-- Maps merge, key by key; lists and all else replace. Of a table that is both, as a pool is, the
-- list replaces the list and the names merge. A key that the base does not have is a mistake,
-- unless `new` wraps its value; what `new` wraps is taken as it is.
local core = require "moongate.core"
local lines = require "moongate.lines"

local overlay = {}

local wrapped = setmetatable({}, { __mode = "k" }) -- what `new` made -> the value in it
local written = setmetatable({}, { __mode = "k" }) -- merged table -> key -> { layer, keys }

--- Marks a value as one that the base need not have.
function overlay.new(value)
  local made = {}
  wrapped[made] = { value = value }
  return made
end

function overlay.is_new(value) return wrapped[value] ~= nil end

--- The value without any marks in it.
local function bare(value)
  if wrapped[value] then return bare(wrapped[value].value) end
  if type(value) ~= "table" or getmetatable(value) ~= nil then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = bare(v) end
  return copy
end
overlay.bare = bare

local function has_names(value)
  for key in pairs(value) do
    if type(key) == "string" then return true end
  end
  return next(value) == nil
end

--- Whether one is laid over the other, and does not just take its place.
local function merges(base, over)
  if type(base) ~= "table" or type(over) ~= "table" or wrapped[over] then return false end
  return has_names(base) and (has_names(over) or base[1] ~= nil)
end

--- The list in `base`, which has names too, gives way to that of `over`.
local function replace_list(result, marks, over, layer, keys)
  for i = #result, 1, -1 do result[i], marks[i] = nil, nil end
  for i, value in ipairs(over) do
    result[i], marks[i] = bare(value), { layer = layer, keys = keys }
  end
end

local function longer(keys, ...)
  local all = {}
  for i, key in ipairs(keys) do all[i] = key end
  for _, key in ipairs { ... } do all[#all + 1] = key end
  return all
end
overlay.longer = longer

local Layer = {}
Layer.__index = Layer

--- Where a table that is laid over another is written: its first constructor follows `name` on
-- `line`; `add` takes a mistake: path, line, key path, message.
function overlay.layer(path, line, name, add)
  return setmetatable({ path = path, line = line, name = name, add = add }, Layer)
end

function Layer:line_of(keys)
  local text = core.text(self.path)
  return text and lines.key_line(text, self.line, self.name, keys) or self.line
end

function Layer:complain(keys, message)
  self.add(self.path, self:line_of(keys), keys, message)
end

--- That the base has no such key; `names` are those that it has.
function Layer:absent(keys, names)
  local near = core.nearest(keys[#keys], names)
  self:complain(keys, "not in what it is laid over"
    .. (near and (" (did you mean \"%s\"?)"):format(near) or ": c.new(...) adds it"))
end

local function names_of(map)
  local names = {}
  for key in pairs(map) do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end
overlay.names_of = names_of

--- `base` with `over` laid over it, as a new table. `keys` lead to `over` in the layer.
function overlay.merge(base, over, layer, keys)
  local result, marks = {}, {}
  for k, v in pairs(base) do result[k] = v end
  for k, v in pairs(written[base] or {}) do marks[k] = v end
  local has_list = #keys > 0 and base[1] ~= nil and over[1] ~= nil
  if has_list then replace_list(result, marks, over, layer, keys) end
  for key, value in pairs(over) do
    local place = longer(keys, key)
    if type(key) ~= "string" then
      if not has_list then
        layer:complain(keys, "names expected as keys, not " .. tostring(key))
      end
    elseif base[key] == nil and not wrapped[value] then
      layer:absent(place, names_of(base))
    elseif merges(base[key], value) then
      result[key] = overlay.merge(base[key], value, layer, place)
    else
      result[key], marks[key] = bare(value), { layer = layer, keys = place }
    end
  end
  written[result] = marks
  return result
end

--- The whole of `value` was written by the layer.
function overlay.own(value, layer, keys)
  local marks = {}
  for key in pairs(value) do marks[key] = { layer = layer, keys = longer(keys, key) } end
  written[value] = marks
  return value
end

--- Path and line of the value at `keys` below `options`, if a layer has written it.
function overlay.place(options, keys)
  local node = options
  for i, key in ipairs(keys) do
    local mark = written[node] and written[node][key]
    if mark then
      return mark.layer.path, mark.layer:line_of(longer(mark.keys, unpack(keys, i + 1)))
    end
    node = node[key]
    if type(node) ~= "table" then return nil end
  end
end

return overlay
