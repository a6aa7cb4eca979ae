--- A table of the configuration that is being made: its keys in order, and where each comes from.
local node = {}

local Node = {}
Node.__index = Node

--- Words of Lua for a value: a text, a flag, a number, or a list of those.
function node.literal(value)
  if type(value) == "string" then
    return "\"" .. value:gsub("[\\\"]", "\\%0"):gsub("%c", function(byte)
      return ("\\%03d"):format(byte:byte())
    end) .. "\""
  end
  if type(value) ~= "table" then return tostring(value) end
  local words = {}
  for i, item in ipairs(value) do words[i] = node.literal(item) end
  return #words > 0 and "{ " .. table.concat(words, ", ") .. " }" or "{}"
end

--- `title` stands in front of the braces: `c.listen "imap"`.
function node.new(title) return setmetatable({ title = title, fields = {}, named = {} }, Node) end

--- Sets a key to words of Lua; the later one counts. `origin` says where it comes from.
function Node:words(key, words, origin)
  local field = self.named[key]
  if not field then
    field = { key = key }
    table.insert(self.fields, field)
    self.named[key] = field
  end
  field.words, field.origin = words, origin
end

--- The same for a value.
function Node:set(key, value, origin) self:words(key, node.literal(value), origin) end

--- The table that a key holds.
function Node:open(key)
  local field = self.named[key]
  if not field then
    field = { key = key, node = node.new() }
    table.insert(self.fields, field)
    self.named[key] = field
  end
  return field.node
end

function Node:has(key) return self.named[key] ~= nil end

--- A member without a key.
function Node:add(member) table.insert(self.fields, { node = member, title = member.title }) end

local function key_text(key)
  return key:match "^[%a_][%w_]*$" and key or "[" .. node.literal(key) .. "]"
end

local WIDTH = 100

--- A list that is longer than a line is written with one member a line.
local function wrap(head, words, indent)
  if #indent + #head + #words < WIDTH - 2 or words:sub(1, 2) ~= "{ " then
    return { indent .. head .. words .. "," }
  end
  local lines = { indent .. head .. "{" }
  for member in (words:sub(3, -3) .. ", "):gmatch "(.-[\"%w}]), " do
    table.insert(lines, indent .. "  " .. member .. ",")
  end
  table.insert(lines, indent .. "},")
  return lines
end

local function add_comment(line, origin)
  if not origin then return line end
  local gap = math.max(1, 46 - #line)
  return line .. (" "):rep(gap) .. "-- " .. origin
end

--- The lines of all fields, each with its origin.
function Node:write(lines, indent)
  for i, field in ipairs(self.fields) do
    local head = field.key and key_text(field.key) .. " = " or ""
    if field.node then
      if field.title and i > 1 then table.insert(lines, "") end
      table.insert(lines, indent .. (field.title and field.title .. " " or head) .. "{")
      field.node:write(lines, indent .. "  ")
      table.insert(lines, indent .. "},")
    else
      local written = wrap(head, field.words, indent)
      written[1] = add_comment(written[1], field.origin)
      for _, line in ipairs(written) do table.insert(lines, line) end
    end
  end
end

--- All as one text, without braces around it.
function Node:text(indent)
  local lines = {}
  self:write(lines, indent or "")
  return table.concat(lines, "\n")
end

return node
