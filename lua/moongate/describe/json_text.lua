--- JSON for people: indented, with sorted keys, so that the same value is the same text.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local write

local function write_list(list, indent)
  local words = {}
  for i, item in ipairs(list) do words[i] = indent .. "  " .. write(item, indent .. "  ") end
  return "[\n" .. table.concat(words, ",\n") .. "\n" .. indent .. "]"
end

local function write_object(object, indent)
  local keys, words = {}, {}
  for key in pairs(object) do keys[#keys + 1] = key end
  if #keys == 0 then return "{}" end
  table.sort(keys)
  for i, key in ipairs(keys) do
    words[i] = indent .. "  " .. quote(key) .. ": " .. write(object[key], indent .. "  ")
  end
  return "{\n" .. table.concat(words, ",\n") .. "\n" .. indent .. "}"
end

function write(value, indent)
  if type(value) == "string" then return quote(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  return value[1] ~= nil and write_list(value, indent) or write_object(value, indent)
end

--- The text of a value; an empty table is an object.
return function(value) return write(value, "") .. "\n" end
